/** What programs of a cgroup make of what its processes ask for: another address, another value, or nothing. */
import { afterAll, beforeAll, describe, expect } from "vitest";
import { kernelAtLeast } from "../../../lib/kernel/version.js";
import type { AttachRewriteRodata } from "../../fixtures/attach_rewrite.bpf.js";
import { Actor } from "../support/actor.js";
import { childBinary, runsOnlyWhileAttached, type Seen, Watched } from "../support/attach.js";
import { TestCgroup } from "../support/cgroup.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { Dialogue } from "../support/dialogue.js";
import { NetNamespace } from "../support/namespace.js";
import { requires } from "../support/requires.js";
import { until } from "../support/until.js";

const needed = requires({ cgroup2: true, netns: true });

let cgroup: TestCgroup;
let namespace: NetNamespace;
/** In the cgroup, and in a namespace whose ports nobody else uses. */
let actor: Actor;
beforeAll(async () => {
  if (needed.reason !== undefined) return;
  cgroup = new TestCgroup();
  namespace = new NetNamespace();
  for (const host of [2, 3, 4, 9]) namespace.ip("addr", "add", `fd99::${host}/128`, "dev", "lo", "nodad");
  actor = await Actor.start(cgroup, namespace);
});
afterAll(async () => {
  await cgroup?.close();
  namespace?.close();
});

nothingStaysOpen();

const SOCK_STREAM = 1n;
const SOCK_DGRAM = 2n;

/** Where somebody listens, where nobody does, who asks, and two that are only said. */
const REAL_PORT = 4343;
const ASKED_PORT = 4242;
const OWN_PORT = 5555;
const SHOWN_PORT = 7777;
const FAMILIES = [
  { family: 4, real: "127.0.0.2", own: "127.0.0.3", source: "127.0.0.4", shown: "127.0.0.7", asked: "127.0.0.9" },
  { family: 6, real: "fd99::2", own: "fd99::3", source: "fd99::4", shown: "fd99::7", asked: "fd99::9" },
] as const;

/** What a program says of an address: 32 bits of IPv4, the last 64 of IPv6. */
function low(address: string): bigint {
  const host = BigInt(address.slice(-1));
  return address.startsWith("fd99::") ? host : 0x7f00_0000n + host;
}

/** The address and the port as constants of the object. */
function put(rodata: AttachRewriteRodata, address: string, port: number, source: string): void {
  const words = (text: string) => [0xfd990000, 0, 0, Number(low(text) & 0xffn)];
  Object.assign(rodata, { address4: Number(low(address) & 0xffff_ffffn), address6: words(address), port });
  Object.assign(rodata, { source4: Number(low(source) & 0xffff_ffffn), source6: words(source) });
}

/** Both ends of a connection, each as both of them see it. */
const connection = (real: string, own: string, address: string, port: number) => `
  const server = net.createServer((accepted) => accepted.on("error", () => {})).listen(${REAL_PORT}, "${real}");
  await once(server, "listening");
  const client = net.connect({ port: ${port}, host: "${address}", localAddress: "${own}", localPort: ${OWN_PORT} });
  try {
    const [[accepted]] = await Promise.all([once(server, "connection"), once(client, "connect")]);
    const ends = {
      client: client.localAddress + " " + client.localPort,
      clientsPeer: client.remoteAddress + " " + client.remotePort,
      server: accepted.localAddress + " " + accepted.localPort,
      serversPeer: accepted.remoteAddress + " " + accepted.remotePort,
    };
    return ends;
  } finally {
    // Without the state that would keep its port.
    client.resetAndDestroy();
    server.close();
    await once(server, "close");
  }
`;

/** What arrives of a datagram, and of one to the right address after it. */
const datagrams = (family: number, real: string, own: string, address: string, port: number) => `
  const [receiver, sender] = [1, 2].map(() => dgram.createSocket("udp${family}"));
  try {
    receiver.bind(${REAL_PORT}, "${real}");
    sender.bind(${OWN_PORT}, "${own}");
    await Promise.all([once(receiver, "listening"), once(sender, "listening")]);
    const send = (text, port, address) =>
      new Promise((done, fail) => sender.send(text, port, address, (error) => (error ? fail(error) : done())));
    const got = [];
    const last = new Promise((done) =>
      receiver.on("message", (text, from) => {
        got.push(text + " from " + from.address + " " + from.port);
        if (String(text) === "last") done();
      }),
    );
    await send("first", ${port}, "${address}");
    await send("last", ${REAL_PORT}, "${real}");
    await last;
    return got;
  } finally {
    receiver.close();
    sender.close();
  }
`;

/** A socket's name, as its process and as whom it sends to see it. */
const name = (family: number, real: string, own: string) => `
  const [receiver, sender] = [1, 2].map(() => dgram.createSocket("udp${family}"));
  receiver.bind(${REAL_PORT}, "${real}");
  sender.bind(${OWN_PORT}, "${own}");
  await Promise.all([once(receiver, "listening"), once(sender, "listening")]);
  const message = once(receiver, "message");
  sender.send("hello", ${REAL_PORT}, "${real}");
  const names = [sender.address(), (await message)[1]].map(({ address, port }) => address + " " + port);
  receiver.close();
  sender.close();
  return names;
`;

/** Where a server listens, and whether it is reached where it is to be. */
const listening = (real: string, address: string) => `
  const server = net.createServer((accepted) => accepted.on("error", () => {})).listen(${ASKED_PORT}, "${address}");
  await once(server, "listening");
  const client = net.connect(${REAL_PORT}, "${real}");
  const reached = await once(client, "connect").then(() => "reached", (error) => error.code);
  const { address, port } = server.address();
  client.resetAndDestroy();
  server.close();
  await once(server, "close");
  return [address + " " + port, reached];
`;

interface Rewrite {
  readonly program: string;
  /** What is put in the place of an address, if not where somebody listens. */
  readonly shown?: string;
  readonly action: string;
  /** What becomes of it without the program, and with it. */
  readonly without: unknown;
  readonly with: unknown;
  readonly expected: Partial<Seen>;
}

function* rewrites(): Generator<Rewrite> {
  for (const [i, { family, real, own, source, shown, asked }] of FAMILIES.entries()) {
    const ends = {
      client: `${own} ${OWN_PORT}`,
      clientsPeer: `${real} ${REAL_PORT}`,
      server: `${real} ${REAL_PORT}`,
      serversPeer: `${own} ${OWN_PORT}`,
    };
    const other = `${shown} ${SHOWN_PORT}`;
    yield {
      program: `to_bind${family}`,
      action: listening(real, asked),
      without: [`${asked} ${ASKED_PORT}`, "ECONNREFUSED"],
      with: [`${real} ${REAL_PORT}`, "reached"],
      expected: { what: 1 + i, a: low(asked), b: BigInt(ASKED_PORT), result: SOCK_STREAM },
    };
    yield {
      program: `to_connect${family}`,
      action: connection(real, own, asked, ASKED_PORT),
      without: "ECONNREFUSED",
      with: ends,
      expected: { what: 3 + i, a: low(asked), b: BigInt(ASKED_PORT), result: SOCK_STREAM },
    };
    yield {
      program: `to_sendmsg${family}`,
      action: datagrams(family, real, own, asked, ASKED_PORT),
      without: [`last from ${own} ${OWN_PORT}`],
      with: [`first from ${source} ${OWN_PORT}`, `last from ${source} ${OWN_PORT}`],
      expected: { what: 5 + i, a: low(asked), b: BigInt(ASKED_PORT), result: SOCK_DGRAM },
    };
    yield {
      program: `to_recvmsg${family}`,
      shown,
      action: datagrams(family, real, own, real, REAL_PORT),
      without: [`first from ${own} ${OWN_PORT}`, `last from ${own} ${OWN_PORT}`],
      with: [`first from ${other}`, `last from ${other}`],
      expected: { what: 7 + i, a: low(own), b: BigInt(OWN_PORT), result: SOCK_DGRAM },
    };
    yield {
      program: `to_getpeername${family}`,
      shown,
      action: connection(real, own, real, REAL_PORT),
      without: ends,
      with: { ...ends, clientsPeer: other, serversPeer: other },
      expected: { what: 9 + i, a: low(real), b: BigInt(REAL_PORT), result: SOCK_STREAM },
    };
    yield {
      program: `to_getsockname${family}`,
      shown,
      action: name(family, real, own),
      without: [`${own} ${OWN_PORT}`, `${own} ${OWN_PORT}`],
      with: [other, `${own} ${OWN_PORT}`],
      expected: { what: 11 + i, a: low(own), b: BigInt(OWN_PORT), result: SOCK_DGRAM },
    };
  }
}

/** What becomes of it before the program is attached, with it, and after it is detached. */
async function comesOf(
  watched: Watched,
  program: string,
  cause: () => Promise<unknown>,
  expected: Partial<Seen>,
): Promise<unknown[]> {
  const came: unknown[] = [];
  await runsOnlyWhileAttached(watched, {
    attach: () => watched.object.program(program).attachCgroup(cgroup.path),
    cause: async () => came.push(await cause()),
    expected,
  });
  return came;
}

describe("another address, and another port", () => {
  for (const { program, shown, action, without, with: rewritten, expected } of rewrites()) {
    needed.test(program, async () => {
      using watched = await Watched.load("attach_rewrite", [program], ({ rodata }) => {
        const { real, source } = program.endsWith("4") ? FAMILIES[0] : FAMILIES[1];
        put(rodata, shown ?? real, shown === undefined ? REAL_PORT : SHOWN_PORT, source);
      });
      const cause = async () => {
        const { value, error } = await actor.do(action);
        return error ?? value;
      };
      expect(await comesOf(watched, program, cause, expected)).toEqual([without, rewritten, without]);
    });
  }

  for (const [program, what, came, seen] of [
    ["to_sendmsg_unix", 19, "2 @ 1 $ $", { result: 0n }],
    ["to_connect_unix", 18, "1 @ 2 $2 $", { result: 0n }],
    // The sender's own name, which begins with a zero.
    ["to_recvmsg_unix", 20, "1 $2 1 $ $", { comm: "", result: 6n }],
    // What the kernel keeps has a zero at its end.
    ["to_getpeername_unix", 21, "1 @ 1 $2 $", { result: 1n }],
    ["to_getsockname_unix", 22, "1 @ 1 $ $2", { result: 1n }],
  ] as const) {
    requires({ cgroup2: true, netns: true, kernel: ">=6.7" }).test(program, async () => {
      // Short enough for a record.
      const path = `/tmp/e${process.pid}`;
      await using child = await Dialogue.start(cgroup.spawn(childBinary(), ["unix", path]));
      using watched = await Watched.load("attach_rewrite", [program]);
      Object.assign(watched.object.bss, { path: `${path}2`, path_length: path.length + 1 });
      // The kernel's choice of an abstract name does not matter.
      const cause = async () => (await child.ask("go")).replaceAll(path, "$").replace(/@\w+/, "@");
      const expected: Partial<Seen> = { comm: path, ...seen };
      if (expected.comm !== "") expected.result = BigInt(path.length) + seen.result;
      expect(await comesOf(watched, program, cause, { what, a: 1n, b: SOCK_DGRAM, ...expected })).toEqual([
        "1 @ 1 $ $",
        came,
        "1 @ 1 $ $",
      ]);
    });
  }
});

describe("another value", () => {
  // SOL_SOCKET, SO_PRIORITY; AF_INET, IPPROTO_UDP
  for (const [program, line, without, expected] of [
    ["to_setsockopt", "1 12 3", "3", { what: 13, a: 1n, b: 12n, result: 3n }],
    ["to_getsockopt", "1 12", "0", { what: 14, cookie: 0n, a: 1n, b: 12n, result: 0n }],
    ["to_sock_create", "1 12", "0", { what: 16, cookie: 0n, a: 2n, b: SOCK_DGRAM, result: 17n }],
  ] as const) {
    needed.test(program, async () => {
      await using child = await Dialogue.start(cgroup.spawn(childBinary(), ["options"]));
      using watched = await Watched.load("attach_rewrite", [program], ({ rodata }) => {
        rodata.value = 5;
      });
      expect(await comesOf(watched, program, () => child.ask(line), expected)).toEqual([without, "5", without]);
    });
  }

  needed.test("an option that the kernel does not have", async () => {
    await using child = await Dialogue.start(cgroup.spawn(childBinary(), ["options"]));
    using watched = await Watched.load("attach_rewrite", ["to_setsockopt", "to_getsockopt"]);
    const ask = () => child.ask("0xebbf 7 77");
    const unknown = /^(EOPNOTSUPP|ENOPROTOOPT)$/;
    expect(await ask()).toMatch(unknown);
    {
      using _set = watched.object.program("to_setsockopt").attachCgroup(cgroup.path);
      expect(await ask()).toMatch(unknown);
      {
        using _get = watched.object.program("to_getsockopt").attachCgroup(cgroup.path);
        expect(await ask()).toBe("77");
        // What the kernel itself returned, which is no longer what the process gets.
        const { result } = await watched.saw({ what: 14, a: 0xebbfn, b: 7n });
        expect([-95n, -92n]).toContain(result);
      }
      expect(await ask()).toMatch(unknown);
    }
    const { produced } = watched;
    expect(produced).toBe(4);
    expect(await ask()).toMatch(unknown);
    expect(watched.produced).toBe(produced);
  });

  needed.test("a sysctl: its name, its value, and what is written to it", async () => {
    using watched = await Watched.load("attach_rewrite", ["to_sysctl"], ({ rodata }) => {
      rodata.value = 77;
    });
    const file = "/proc/sys/net/ipv4/ip_default_ttl";
    const cause = async () => {
      const { value, error } = await actor.do(
        `fs.writeFileSync("${file}", "33\\n"); return fs.readFileSync("${file}", "utf8")`,
      );
      return error ?? value;
    };
    const written = { what: 15, cookie: 1n, a: 33n, b: 33n, comm: "ip_default_ttl" };
    const [before, set, after] = await comesOf(watched, "to_sysctl", cause, written);
    expect([before, after]).toEqual(["33\n", "33\n"]);
    // From 5.17 on the kernel drops the program's value, as it takes the 0 that all programs agreed for a no (kernel/bpf/cgroup.c:
    // __cgroup_bpf_run_filter_sysctl). That was mended in 2026, in kernels before that too.
    expect(kernelAtLeast("5.17") ? ["77\n", "33\n"] : ["77\n"]).toContain(set);
    const [first, ...rest] = watched.seen;
    expect(first).toMatchObject(written);
    // Node reads until there is nothing left.
    for (const read of rest)
      expect(read).toMatchObject({ cookie: 0n, a: BigInt(String(set)), b: 0n, comm: "ip_default_ttl" });
    expect(rest).not.toEqual([]);
  });
});

describe("what programs of a cgroup see", () => {
  needed.test("sockops: both ends of a connection", async () => {
    using watched = await Watched.load("attach_rewrite", ["on_established"]);
    const [{ real, own }] = FAMILIES;
    const cause = () => actor.do(connection(real, own, real, REAL_PORT));
    await comesOf(watched, "on_established", cause, { what: 17 });
    // BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB and BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB
    expect(watched.seen).toMatchObject([
      { cookie: 4n, a: BigInt(OWN_PORT), b: BigInt(REAL_PORT), result: low(real) },
      { cookie: 5n, a: BigInt(REAL_PORT), b: BigInt(OWN_PORT), result: low(own) },
    ]);
  });

  for (const { family, asked } of FAMILIES) {
    needed.test(`post_bind${family}: the address and the port that the socket has got`, async () => {
      using watched = await Watched.load("attach_cgroup", [`on_post_bind${family}`]);
      const ports: bigint[] = [];
      const cause = async () => {
        const { value } = await actor.do(`
          const server = net.createServer().listen(0, "${asked}");
          await once(server, "listening");
          const { port } = server.address();
          server.close();
          return port;
        `);
        ports.push(BigInt(Number(value)));
      };
      const what = family === 4 ? 17 : 18;
      await comesOf(watched, `on_post_bind${family}`, cause, { what });
      expect(watched.seen).toMatchObject([
        { a: family === 4 ? 2n : 10n, b: ports[1], result: low(asked) & 0xffff_ffffn },
      ]);
    });
  }
});

describe("what programs of a cgroup refuse", () => {
  const listen = (address: string) => `
    const server = net.createServer().listen(0, "${address}");
    await once(server, "listening");
    server.close();
    await once(server, "close");
  `;
  const [four, six] = FAMILIES;
  const connect = ({ real, own }: (typeof FAMILIES)[number]) => connection(real, own, real, REAL_PORT);
  const send = ({ family, real, own }: (typeof FAMILIES)[number]) => datagrams(family, real, own, real, REAL_PORT);
  for (const [program, action] of [
    ["on_bind4", listen(four.real)],
    ["on_bind6", listen(six.real)],
    ["on_post_bind4", listen(four.real)],
    ["on_post_bind6", listen(six.real)],
    ["on_sock_create", listen(four.real)],
    ["on_connect4", connect(four)],
    ["on_connect6", connect(six)],
    ["on_sendmsg4", send(four)],
    ["on_sendmsg6", send(six)],
    ["on_egress", send(four)],
    ["on_sysctl", 'fs.readFileSync("/proc/sys/kernel/ostype")'],
    ["on_sysctl", 'fs.writeFileSync("/proc/sys/net/ipv4/ip_default_ttl", "64")'],
    ["on_device", 'fs.closeSync(fs.openSync("/dev/zero", "r"))'],
  ] as const) {
    needed.test(`${program}: ${action.trim().split(/[\n(]/, 1)}`, async () => {
      using watched = await refusing(program);
      const cause = async () => (await actor.do(action)).error;
      expect(await comesOf(watched, program, cause, {})).toEqual([undefined, "EPERM", undefined]);
    });
  }

  for (const [program, line, came] of [
    ["on_setsockopt", "1 12 3", "3"],
    ["on_getsockopt", "1 12", "0"],
  ] as const) {
    needed.test(program, async () => {
      await using child = await Dialogue.start(cgroup.spawn(childBinary(), ["options"]));
      using watched = await refusing(program);
      expect(await comesOf(watched, program, () => child.ask(line), {})).toEqual([came, "EPERM", came]);
    });
  }

  for (const [program, came] of [
    ["on_sendmsg_unix", "EPERM - 1 $ $"],
    ["on_connect_unix", "1 @ EPERM - $"],
  ] as const) {
    requires({ cgroup2: true, netns: true, kernel: ">=6.7" }).test(program, async () => {
      const path = `/tmp/e${process.pid}`;
      await using child = await Dialogue.start(cgroup.spawn(childBinary(), ["unix", path]));
      using watched = await refusing(program);
      const cause = async () => (await child.ask("go")).replaceAll(path, "$").replace(/@\w+/, "@");
      expect(await comesOf(watched, program, cause, {})).toEqual(["1 @ 1 $ $", came, "1 @ 1 $ $"]);
    });
  }

  needed.test("on_ingress: the datagram does not arrive", async () => {
    using watched = await refusing("on_ingress");
    const link = watched.object.program("on_ingress").attachCgroup(cgroup.path);
    const receive = `
      state.receiver = dgram.createSocket("udp4");
      state.got = [];
      state.receiver.on("message", (text) => state.got.push(String(text)));
      state.receiver.bind(${REAL_PORT}, "${four.real}");
      await once(state.receiver, "listening");
      state.send = (text) => new Promise((done) => state.receiver.send(text, ${REAL_PORT}, "${four.real}", done));
      await state.send("refused");
    `;
    expect(await actor.do(receive)).toEqual({ value: null });
    await watched.saw({ what: 1, a: BigInt(20 + 8 + "refused".length), comm: "refus" });
    link.close();
    await actor.do('await state.send("let pass")');
    const got = await until("the second datagram", async () => {
      const { value } = await actor.do("return state.got");
      return (value as string[]).includes("let pass") && value;
    });
    expect(got).toEqual(["let pass"]);
    expect(watched.produced).toBe(1);
    await actor.do("state.receiver.close()");
  });

  /** attach_cgroup, which lets nothing pass. */
  function refusing(program: string): Promise<Watched> {
    return Watched.load("attach_cgroup", [program], (opened) => {
      opened.rodata.allow = 0;
    });
  }
});
