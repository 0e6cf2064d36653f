/** `ebpf/build`: BPF C compiled at run time. */
export { type BuildOptions, type BuildResult, type BuildSource, build } from "./build.js";
export { CompileError, type Diagnostic, type DiagnosticSeverity } from "./compile_error.js";
export type { Architecture, Clang } from "./toolchain.js";
export { vmlinuxHeader } from "./vmlinux.js";
