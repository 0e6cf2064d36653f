/** Every way to attach to a cgroup but those of Unix sockets: the program of attach_cgroup.bpf.c, what makes it run, and what it then says. */
import type { Seen } from "./attach.js";
import type { Requirements } from "./requires.js";

const AF_INET = 2n;
const AF_INET6 = 10n;
const SOCK_STREAM = 1n;
const SOCK_DGRAM = 2n;
const IPPROTO_TCP = 6n;

/** Loopback addresses by family, and what Node calls the sockets. */
const tcp = (host: string) => `
  const server = net.createServer().listen(0, "${host}");
  await once(server, "listening");
  const { port } = server.address();
  const client = net.connect(port, "${host}");
  await once(client, "connect");
  const peer = client.remoteAddress;
  client.setNoDelay(true);
  client.destroy();
  server.close();
  await once(server, "close");
  return port;
`;
const udp = (type: string, host: string) => `
  const receiver = dgram.createSocket("${type}");
  receiver.bind(0, "${host}");
  await once(receiver, "listening");
  const { port } = receiver.address();
  const size = receiver.getRecvBufferSize();
  const sender = dgram.createSocket("${type}");
  const got = once(receiver, "message");
  sender.send("hello", port, "${host}");
  await got;
  sender.close();
  receiver.close();
  return port;
`;
export const TCP4 = tcp("127.0.0.1");
const TCP6 = tcp("::1");
const UDP4 = udp("udp4", "127.0.0.1");
const UDP6 = udp("udp6", "::1");

/** UDP4's, by IPv4 and through the loopback device. */
const DATAGRAM = { cookie: 1n, a: 20n + 8n + 5n, b: 0x0800n, result: AF_INET, comm: "hello" };

/** One way to attach to a cgroup. */
interface CgroupKind {
  /** The attach type. */
  readonly name: string;
  /** Of attach_cgroup.bpf.c, with its number there. */
  readonly program: string;
  readonly what: number;
  /** What an Actor in the cgroup does. */
  readonly action: string;
  readonly expected?: Partial<Seen>;
  readonly needs?: Requirements;
}

export const CGROUP_KINDS: readonly CgroupKind[] = [
  { name: "cgroup_inet_ingress", program: "on_ingress", what: 1, action: UDP4, expected: DATAGRAM },
  { name: "cgroup_inet_egress", program: "on_egress", what: 2, action: UDP4, expected: DATAGRAM },
  {
    name: "cgroup_inet_sock_create",
    program: "on_sock_create",
    what: 3,
    action: TCP4,
    expected: { a: AF_INET, b: SOCK_STREAM, result: IPPROTO_TCP },
  },
  {
    name: "cgroup_inet_sock_release",
    program: "on_sock_release",
    what: 4,
    action: TCP4,
    expected: { a: AF_INET, b: SOCK_STREAM, result: IPPROTO_TCP },
    needs: { kernel: ">=5.9" },
  },
  {
    name: "cgroup_inet4_bind",
    program: "on_bind4",
    what: 5,
    action: TCP4,
    expected: { a: AF_INET, b: 0n, result: SOCK_STREAM },
  },
  {
    name: "cgroup_inet6_bind",
    program: "on_bind6",
    what: 6,
    action: TCP6,
    expected: { a: AF_INET6, b: 0n, result: SOCK_STREAM },
  },
  {
    name: "cgroup_inet4_connect",
    program: "on_connect4",
    what: 7,
    action: TCP4,
    expected: { a: AF_INET, result: SOCK_STREAM },
  },
  {
    name: "cgroup_inet6_connect",
    program: "on_connect6",
    what: 8,
    action: TCP6,
    expected: { a: AF_INET6, result: SOCK_STREAM },
  },
  {
    name: "cgroup_udp4_sendmsg",
    program: "on_sendmsg4",
    what: 9,
    action: UDP4,
    expected: { a: AF_INET, result: SOCK_DGRAM },
  },
  {
    name: "cgroup_udp6_sendmsg",
    program: "on_sendmsg6",
    what: 10,
    action: UDP6,
    expected: { a: AF_INET6, result: SOCK_DGRAM },
  },
  {
    name: "cgroup_udp4_recvmsg",
    program: "on_recvmsg4",
    what: 11,
    action: UDP4,
    expected: { a: AF_INET, result: SOCK_DGRAM },
  },
  {
    name: "cgroup_udp6_recvmsg",
    program: "on_recvmsg6",
    what: 12,
    action: UDP6,
    expected: { a: AF_INET6, result: SOCK_DGRAM },
  },
  { name: "cgroup_inet4_getpeername", program: "on_getpeername4", what: 13, action: TCP4, expected: { a: AF_INET } },
  { name: "cgroup_inet6_getpeername", program: "on_getpeername6", what: 14, action: TCP6, expected: { a: AF_INET6 } },
  { name: "cgroup_inet4_getsockname", program: "on_getsockname4", what: 15, action: TCP4, expected: { a: AF_INET } },
  { name: "cgroup_inet6_getsockname", program: "on_getsockname6", what: 16, action: TCP6, expected: { a: AF_INET6 } },
  { name: "cgroup_inet4_post_bind", program: "on_post_bind4", what: 17, action: TCP4, expected: { a: AF_INET } },
  { name: "cgroup_inet6_post_bind", program: "on_post_bind6", what: 18, action: TCP6, expected: { a: AF_INET6 } },
  // TCP_NODELAY; SOL_SOCKET and SO_RCVBUF.
  { name: "cgroup_setsockopt", program: "on_setsockopt", what: 19, action: TCP4, expected: { a: IPPROTO_TCP, b: 1n } },
  { name: "cgroup_getsockopt", program: "on_getsockopt", what: 20, action: UDP4, expected: { a: 1n, b: 8n } },
  {
    name: "cgroup_sysctl",
    program: "on_sysctl",
    what: 21,
    action: 'return fs.readFileSync("/proc/sys/kernel/ostype", "utf8")',
    expected: { a: 0n },
  },
  // /dev/null, a character device, to be read.
  {
    name: "cgroup_device",
    program: "on_device",
    what: 22,
    action: 'fs.closeSync(fs.openSync("/dev/null", "r"))',
    expected: { a: 1n, b: 3n, result: 0x2_0002n },
  },
  { name: "cgroup_sock_ops", program: "on_sockops", what: 23, action: TCP4, expected: { a: AF_INET, result: 4n } },
];
