// Copies libbpf's headers for BPF C, and the kernel ABI headers they were built with, into dist/include: they ship in the package, so
// that `ebpf build` needs no libbpf-dev. Both may be given on: libbpf's are LGPL-2.1 or BSD-2-Clause, the kernel's have the
// system call note.
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const HEADERS = [
  ...["bpf_core_read.h", "bpf_endian.h", "bpf_helper_defs.h", "bpf_helpers.h", "bpf_tracing.h", "usdt.bpf.h"].map(
    (name) => `bpf/${name}`,
  ),
  ...["bpf.h", "bpf_common.h"].map((name) => `linux/${name}`),
];

// The project's own libbpf, as scripts/deps/libbpf makes it; else the system's.
const source = [join(root, ".deps/libbpf/include"), "/usr/include"].find((folder) =>
  existsSync(join(folder, "bpf/bpf_helpers.h")),
);
if (source === undefined) {
  console.error("copy-headers: no bpf/bpf_helpers.h: run scripts/deps/libbpf, or install libbpf-dev");
  process.exit(1);
}
for (const header of HEADERS) {
  const to = join(root, "dist/include", header);
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(join(source, header), to);
}
