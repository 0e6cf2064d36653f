import { BpfError } from "../errors.js";
import { checkReader, type ReaderChoice, threadOf } from "../events/reader_choice.js";
import { checkWakeup, type Wakeup, wakeupConstant, wakeupOf } from "../events/wakeup.js";
import { MapType } from "../kernel/abi.js";
import { OpenedMap } from "../map/opened_map.js";
import { invalid, shown } from "../options.js";
import type { ObjectCore } from "./core.js";
import { sectionOf } from "./globals.js";
import { type BufferKind, chooseBuffer } from "./perf.js";
import { declaredRing, wakeupVariable } from "./rings.js";
import { choose, chosen } from "./stream_choices.js";

/** A ring buffer or perf event array of an opened object: what is set here takes effect at `load()`. */
export class OpenedRing extends OpenedMap {
  readonly #core: ObjectCore;

  /** @internal */
  constructor(core: ObjectCore, name: string) {
    super(core.addon, () => {
      core.mustBeOpened(`map ${name}`);
      return core.map(name);
    });
    this.#core = core;
  }

  /**
   * When the BPF side wakes the reader. Rings must be declared with `EBPF_RINGBUF` or `EBPF_EVENTS` of `<ebpf/events.h>`.
   * @throws BpfError INVALID_ARGUMENT; INVALID_STATE for a ring declared otherwise, and after load
   */
  get wakeup(): Wakeup {
    const core = this.#core;
    core.mustBeOpened(`map ${this.name}`);
    const { wakeup } = chosen(core, this.name);
    if (wakeup !== undefined) return wakeup;
    const offset = core.btfOrUndefined === undefined ? undefined : wakeupVariable(core.btf, this.name);
    if (offset === undefined) return "event";
    const word = new BigUint64Array(1);
    core.sectionMap(".rodata", sectionOf)?.readData(offset, new Uint8Array(word.buffer));
    return wakeupOf(word[0] as bigint);
  }

  set wakeup(value: Wakeup) {
    const core = this.#core;
    const { name } = this;
    core.mustBeOpened(`map ${name}`);
    const wakeup = checkWakeup(name, value);
    this.#checkThread(this.reader, wakeup);
    const btf = core.btfOrUndefined;
    const declaration = declaredRing(core, name);
    const offset = btf === undefined ? undefined : wakeupVariable(btf, name);
    if (btf !== undefined && declaration !== undefined && offset !== undefined) {
      const constant = BigUint64Array.of(wakeupConstant(wakeup, btf.size(declaration.recordType) ?? 0));
      core.sectionMap(".rodata", sectionOf)?.writeData(offset, new Uint8Array(constant.buffer));
    } else if (core.map(name).type === MapType.ringbuf) {
      const message = `ring ${name} is not declared with EBPF_RINGBUF, so its program decides when to wake, not the loader`;
      throw new BpfError({ code: "INVALID_STATE", message });
    }
    choose(core, name, { wakeup });
  }

  /**
   * Who empties the kernel's buffer: the event loop, or a thread that goes on while JavaScript is busy.
   * @throws BpfError INVALID_ARGUMENT; INVALID_STATE after load
   */
  get reader(): ReaderChoice {
    this.#core.mustBeOpened(`map ${this.name}`);
    return chosen(this.#core, this.name).reader ?? "loop";
  }

  set reader(value: ReaderChoice) {
    this.#core.mustBeOpened(`map ${this.name}`);
    const reader = checkReader(this.name, value);
    this.#checkThread(reader, this.wakeup);
    choose(this.#core, this.name, { reader });
  }

  #checkThread(reader: ReaderChoice, wakeup: Wakeup): void {
    // What is adaptive of a ring is a threshold of a perf event array.
    if (this.#core.map(this.name).type === MapType.ringbuf) threadOf(this.name, reader, wakeup);
  }

  /**
   * For a ring declared with `EBPF_EVENTS`: what it is in the kernel. By default a ring, or where the kernel has none (before 5.8) a
   * perf event array.
   * @throws BpfError INVALID_STATE for a ring declared otherwise, and after load
   */
  get buffer(): BufferKind {
    this.#core.mustBeOpened(`map ${this.name}`);
    return this.#core.map(this.name).type === MapType.ringbuf ? "ring" : "perf";
  }

  set buffer(kind: BufferKind) {
    if (kind !== "ring" && kind !== "perf")
      throw invalid(`${this.name}.buffer must be "ring" or "perf", got ${shown(kind)}`);
    this.#core.mustBeOpened(`map ${this.name}`);
    chooseBuffer(this.#core, this.name, kind);
  }
}
