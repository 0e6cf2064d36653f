/**
 * The types of bare.bpf.o, and what opens and loads it.
 * Made by `ebpf gen`: change the C source and make it again.
 */
import { LoadedObject, type OpenedObject, type OpenOptions } from "ebpf";
import { type ObjectShape, openSkeleton, type ProgramOf } from "ebpf/skeleton";

/** What the object has, by its C names. */
export interface BareObject extends ObjectShape {
  readonly programs: {
    readonly accept_all: ProgramOf<"socket">;
    readonly flows: ProgramOf<"?sockops">;
    readonly anywhere: ProgramOf<"kprobe">;
    readonly connect: ProgramOf<"kprobe/tcp_connect">;
  };
  readonly maps: Record<never, never>;
  readonly sections: Record<never, never>;
}

/** bare.bpf.o, opened: programs are chosen, maps sized and constants set here, then `load()`. */
export type OpenedBare = OpenedObject<BareObject, Bare>;

/** bare.bpf.o, 200 bytes. */
const EMBEDDED: string =
  "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn+AgYKDhIWGh4iJiouMjY6PkJGSk5SVlpeYmZqbnJ2en6ChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/wMHCw8TFxsc=";

/** bare.bpf.o in the kernel. Closing it closes its links, streams and maps. */
export class Bare extends LoadedObject<BareObject> {
  /** Parses the object; nothing of it is in the kernel yet. */
  static open(options: OpenOptions<BareObject> = {}): OpenedBare {
    return openSkeleton(Bare, options, {
      file: "bare.bpf.o",
      name: "bare",
      embedded: EMBEDDED,
      fingerprint: "a37d1a230b896de6a17aadecb5131c6d",
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<BareObject> = {}): Promise<Bare> {
    return Bare.open(options).load();
  }
}
