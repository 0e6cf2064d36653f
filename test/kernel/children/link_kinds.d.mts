import type { Link, LoadedObject, OpenedObject, Program } from "ebpf";

/** Where things are attached: what the tests made for it. */
export interface Place {
  readonly fixtures: string;
  /** test/fixtures/attach_child.c, compiled. */
  readonly binary: string;
  /** A network namespace with veth0, and nk0 where the kernel has netkit. */
  readonly netns: string;
  readonly cgroup: string;
  /** The program that another replaces a function of, where the kernel can. */
  readonly target?: Program;
}

type Attach = (program: Program, place: Place, object: LoadedObject) => Link;

export declare const KINDS: Readonly<
  Record<
    string,
    readonly [
      fixture: string,
      program: string | RegExp,
      attach: Attach,
      configure?: (opened: OpenedObject, place: Place) => void,
    ]
  >
>;

export declare function loadKind(
  kind: string,
  place: Place,
): Promise<{ readonly object: LoadedObject; readonly program: Program; readonly attach: () => Link }>;

export declare function attachKind(
  kind: string,
  place: Place,
): Promise<{ readonly object: LoadedObject; readonly program: Program; readonly link: Link }>;

export declare function loadTarget(place: Place): Promise<Program>;
