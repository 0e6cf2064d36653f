import type { DefinedProbe } from "../kernel/kprobe_events.js";

export interface AttachmentInfo {
  readonly kind: "xdp" | "tc" | "lwt" | "cgroup" | "struct_ops" | DefinedProbe["kind"];
  /**
   * Where: a device (with the direction, handle and priority of a tc filter), a route, a cgroup (with the attach type), the name of a probe in
   * tracefs and its function, the map of a struct_ops.
   */
  readonly target: string;
  /** 0 where the kernel does not tell: of routes, of probes in tracefs, which run nothing once their process has ended, and of struct_ops. */
  readonly programId: number;
  /** The program's name in the kernel; empty when it is not ours to know. */
  readonly program: string;
}

/** An attachment that can be removed. */
export interface FoundAttachment extends AttachmentInfo {
  /** @throws BpfError NOT_FOUND when it is gone by now, BUSY for a probe whose process still runs, PERMISSION_DENIED */
  remove(): void;
}
