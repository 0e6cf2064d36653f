/** The kernel's own types, as they are on whichever kernel this is: ours against what libbpf's API says, type by type. */
import { afterAll, expect } from "vitest";
import type { Btf } from "../../lib/btf/btf.js";
import { kernelBtf, moduleBtf } from "../../lib/btf/sources.js";
import { BTF_KINDS } from "../../lib/btf/types.js";
import { vmlinux, Workshop } from "../unit/btf/support/tools.js";
import { requires } from "./support/requires.js";
import { Child } from "./support/run.js";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

/** Where ours and libbpf's layouts of a file's types differ: sizes, and each member's offset, bit-field size, type size and name. */
function compare(btf: Btf, file: string, firstType = 1) {
  const differences: string[] = [];
  const sizeOf = (id: number): number => {
    try {
      return btf.size(id);
    } catch {
      return -1;
    }
  };
  let types = 0;
  let members = 0;
  let current = 0;
  let index = 0;
  /** Of the type before: that libbpf listed as many members as we have, and not fewer. */
  const count = () => {
    const kind = current < firstType ? "void" : btf.kind(current);
    const type = kind === "struct" || kind === "union" ? btf.type(current) : undefined;
    const ours = type?.kind === "struct" || type?.kind === "union" ? type.members.length : 0;
    if (ours !== index) differences.push(`type ${current}: ${ours} members, libbpf ${index}`);
  };
  for (const line of workshop
    .dump("layout", file, ...(firstType > 1 ? [vmlinux] : []))
    .toString()
    .split("\n")) {
    const [tag, a, b, c, ...rest] = line.split(" ");
    if (tag === "T") {
      count();
      current = Number(a);
      index = 0;
      if (current < firstType) continue;
      types++;
      const ours = `${BTF_KINDS.indexOf(btf.kind(current))} ${sizeOf(current)}`;
      if (ours !== `${b} ${c}`) differences.push(`type ${current}: ${ours}, libbpf ${b} ${c}`);
    } else if (tag === "M" && current >= firstType) {
      const type = btf.type(current);
      const member = type.kind === "struct" || type.kind === "union" ? type.members[index++] : undefined;
      members++;
      const ours = member && `${member.bitOffset} ${member.bitfieldSize} ${sizeOf(member.type)} ${member.name}`;
      const theirs = `${a} ${b} ${c} ${rest.join(" ")}`;
      if (ours !== theirs) differences.push(`${btf.describe(current)} member ${index}: ${ours}, libbpf ${theirs}`);
    }
  }
  count();
  return { differences: differences.slice(0, 20), types, members };
}

const TIMEOUT_MS = 600_000;
const ofKernel = requires({ btf: true });

ofKernel.test(
  "every type of the kernel has the size and members that libbpf finds",
  () => {
    const btf = kernelBtf();
    expect(btf.check()).toBe(btf);
    const { differences, types, members } = compare(btf, vmlinux);
    expect(differences).toEqual([]);
    expect(types).toBe(btf.typeCount - 1);
    expect(members).toBeGreaterThan(10_000);
  },
  TIMEOUT_MS,
);

ofKernel.test(
  "names of the kernel's types are found, by kind",
  () => {
    const btf = kernelBtf();
    const task = btf.get("task_struct", "struct");
    expect(btf.describe(task)).toBe("struct task_struct");
    expect(btf.size(task)).toBeGreaterThan(1000);
    expect(btf.find("task_struct", "func")).toBeUndefined();
    expect(btf.describe(btf.get("__be32", "typedef"))).toBe("__be32");
    expect(() => btf.get("tsak_struct", "struct")).toThrow(
      /has no struct "tsak_struct" \(did you mean "task_struct"\?\)/,
    );
    // Every struct that is found by its name has that name.
    const named = [...btf.types()].filter((type) => type.kind === "struct" && type.name !== "");
    for (let i = 0; i < named.length; i += 500) {
      const type = named[i];
      if (type !== undefined) expect(btf.findAll(type.name)).toContain(type.id);
    }
  },
  TIMEOUT_MS,
);

requires({ vm: true, kernel: ">=5.11" }).test(
  "a module's types are on top of the kernel's, and are what libbpf finds",
  async () => {
    const loaded = await new Child("modprobe", ["veth"]).finished;
    expect(loaded).toMatchObject({ code: 0, stderr: "" });
    const kernel = kernelBtf();
    const btf = moduleBtf("veth");
    expect(btf.typeCount).toBeGreaterThan(kernel.typeCount);
    expect(btf.check()).toBe(btf);
    // Its own struct, whose members have types of the kernel's.
    const type = btf.type(btf.get("veth_priv", "struct"));
    expect(type.id).toBeGreaterThanOrEqual(kernel.typeCount);
    expect(type.kind === "struct" && type.members.map(({ name }) => name)).toContain("peer");
    expect(btf.describe(btf.get("net_device", "struct"))).toBe("struct net_device");
    expect(kernel.find("veth_priv")).toBeUndefined();
    expect(moduleBtf("veth")).toBe(btf);
    const { differences, types, members } = compare(btf, "/sys/kernel/btf/veth", kernel.typeCount);
    expect(differences).toEqual([]);
    expect(types).toBe(btf.typeCount - kernel.typeCount);
    expect(members).toBeGreaterThan(10);
  },
  TIMEOUT_MS,
);
