import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "./cache.mjs";
import { uncompressedKernel, VmError } from "./kernels.mjs";

const BINARY = "qemu-system-x86_64";

/** How long a guest under KVM may take to say its first word before KVM counts as broken. */
const KVM_PATIENCE_MS = 10_000;

export function requireQemu() {
  const found = spawnSync(BINARY, ["--version"], { encoding: "utf8" });
  if (found.status !== 0) throw new VmError(`${BINARY} is needed (package qemu-system-x86)`);
  return found.stdout.split("\n")[0] ?? "";
}

/**
 * "kvm" where a guest really runs under it, else "tcg" (emulation). That the device opens does not mean much: inside
 * another virtual machine a guest may hang before its first instruction. Tried once per boot of this machine.
 * @param {import("./kernels.mjs").Kernel} kernel
 * @returns {Promise<"kvm" | "tcg">}
 */
export async function accelerator(kernel) {
  const forced = process.env["EBPF_VM_ACCEL"];
  if (forced === "kvm" || forced === "tcg") return forced;
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch {
    return "tcg";
  }
  const file = join(cacheDirectory("kernels"), "accelerator.json");
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  if (existsSync(file)) {
    const known = JSON.parse(readFileSync(file, "utf8"));
    if (known.boot === boot) return known.accelerator;
  }
  process.stderr.write("vm: trying KVM (once per boot of this machine)\n");
  const found = (await kvmWorks(kernel)) ? "kvm" : "tcg";
  if (found === "tcg") process.stderr.write("vm: KVM opens, but a guest does not start; using emulation\n");
  writeFileSync(file, `${JSON.stringify({ boot, accelerator: found })}\n`);
  return found;
}

/** @param {import("./kernels.mjs").Kernel} kernel */
function kvmWorks(kernel) {
  const args = [...machine({ accel: "kvm", cpus: 1, memory: "512M" }), "-kernel", kernel.vmlinuz];
  // Without an initramfs the kernel panics in the end, which is an answer too.
  args.push("-append", "console=ttyS0 earlyprintk=serial panic=-1", "-serial", "stdio");
  const child = spawn(...dieWithParent(BINARY, args), { stdio: ["ignore", "pipe", "ignore"] });
  return new Promise((resolve) => {
    let text = "";
    const timer = setTimeout(() => child.kill("SIGKILL"), KVM_PATIENCE_MS);
    child.stdout?.on("data", (chunk) => {
      text += chunk;
      if (text.includes("Linux version")) child.kill("SIGKILL");
    });
    child.once("error", () => resolve(false));
    child.once("close", () => {
      clearTimeout(timer);
      resolve(text.includes("Linux version"));
    });
  });
}

/** @param {{ accel: "kvm" | "tcg", cpus: number, memory: string }} options */
function machine({ accel, cpus, memory }) {
  return [
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none"],
    ...["-machine", "q35,vmport=off,usb=off,sata=off,smbus=off,hpet=off,graphics=off"],
    // All processors by turns on one thread of the host's: atomic operations need not be atomic then, which saves a sixth of the
    // host's time, and no processor translates code while another one patches it. Two machines at once still use two cores.
    ...["-accel", accel === "kvm" ? "kvm" : "tcg,thread=single"],
    ...["-cpu", "max", "-smp", String(cpus), "-m", memory],
  ];
}

/**
 * @param {object} options
 * @param {import("./kernels.mjs").Kernel} options.kernel
 * @param {"kvm" | "tcg"} options.accel
 * @param {number} options.cpus
 * @param {string} options.memory
 * @param {string} options.append      more for the kernel's command line
 * @param {string} options.initrd      path
 * @param {Record<string, string>} options.sockets  name of a serial port -> path of the socket the host listens on
 * @param {readonly string[]} options.writable  folders of the host the guest may write to
 * @returns {[string, string[]]} command and arguments
 */
export function qemuCommand({ kernel, accel, cpus, memory, append, initrd, sockets, writable }) {
  const share = (/** @type {string} */ path, /** @type {string} */ tag, /** @type {string} */ more) => [
    ...["-fsdev", `local,id=${tag},path=${comma(path)},security_model=none,multidevs=remap${more}`],
    ...["-device", `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`],
  ];
  const commandLine = [
    "console=ttyS0 quiet panic=-1 oops=panic",
    // Nothing here needs guarding from itself, and under emulation all of it costs.
    "mitigations=off nokaslr audit=0 apparmor=0 selinux=0 cryptomgr.notests random.trust_cpu=on",
    // Detaching and closing wait for grace periods; on an idle emulated machine they are long.
    "rcupdate.rcu_expedited=1 nowatchdog tsc=reliable no_timer_check",
    // Security hooks of BPF, and with them storage by inode, are there only where `bpf` is one of the active modules.
    "lsm=lockdown,capability,yama,bpf",
    append,
  ].join(" ");
  return dieWithParent(BINARY, [
    ...machine({ accel, cpus, memory }),
    ...["-kernel", uncompressedKernel(kernel) ?? kernel.vmlinuz, "-initrd", initrd, "-append", commandLine],
    ...["-serial", "stdio", "-device", "virtio-serial-pci"],
    ...Object.entries(sockets).flatMap(([name, path]) => [
      ...["-chardev", `socket,id=${name},path=${comma(path)}`],
      ...["-device", `virtserialport,chardev=${name},name=ebpf.${name}`],
    ]),
    ...share("/", "host", ",readonly=on"),
    ...writable.flatMap((path, index) => share(path, `writable${index}`, "")),
  ]);
}

/** A comma in a value of a QEMU option is written twice. @param {string} text */
const comma = (text) => text.replaceAll(",", ",,");

/**
 * QEMU goes when this process goes, kill -9 included (util-linux's setpriv sets PR_SET_PDEATHSIG).
 * @param {string} command @param {string[]} args @returns {[string, string[]]}
 */
function dieWithParent(command, args) {
  const here = ["/usr/bin/setpriv", "/bin/setpriv"].find((path) => existsSync(path));
  return here === undefined ? [command, args] : [here, ["--pdeathsig", "KILL", "--", command, ...args]];
}
