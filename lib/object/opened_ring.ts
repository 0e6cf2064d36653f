import { BpfError } from "../errors.js";
import { checkReader, type ReaderChoice, threadOf } from "../events/reader_choice.js";
import { checkWakeup, type Wakeup, wakeupConstant } from "../events/wakeup.js";
import { MapType } from "../kernel/abi.js";
import { OpenedMap } from "../map/opened_map.js";
import { invalid, shown } from "../options.js";
import type { ObjectCore } from "./core.js";
import { type BufferKind, chooseBuffer } from "./perf.js";
import { ringRecordType } from "./ring_declarations.js";
import { ringWakeup, wakeupConstantOf } from "./ring_wakeup.js";
import { choose, chosen } from "./stream_choices.js";

/**
 * A ring buffer, perf event array or map of rings of an opened object: what is set here takes effect at `load()`, for a map of rings in all
 * of them, whoever makes them.
 */
export class OpenedRing extends OpenedMap {
  readonly #core: ObjectCore;

  /** @internal */
  constructor(core: ObjectCore, name: string) {
    super(core.addon, core.settableMap(name));
    this.#core = core;
  }

  /**
   * When the BPF side wakes the reader. Rings must be declared with a macro of `<ebpf/events.h>`: `EBPF_RINGBUF`, `EBPF_EVENTS`,
   * `EBPF_RINGBUF_HASH` or `EBPF_RINGBUF_ARRAY`.
   * @throws BpfError INVALID_ARGUMENT; INVALID_STATE for a ring declared otherwise, and after load
   */
  get wakeup(): Wakeup {
    this.#core.mustBeOpened(`map ${this.name}`);
    return ringWakeup(this.#core, this.name).wakeup;
  }

  set wakeup(value: Wakeup) {
    const core = this.#core;
    const { name } = this;
    core.mustBeOpened(`map ${name}`);
    const wakeup = checkWakeup(name, value);
    this.#checkThread(this.reader, wakeup);
    const constant = wakeupConstantOf(core, name);
    if (constant === undefined && !this.#isPerf) {
      const message = `ring ${name} is not declared with EBPF_RINGBUF, so its program decides when to wake, not the loader`;
      throw new BpfError({ code: "INVALID_STATE", message });
    }
    constant?.set(wakeupConstant(wakeup, core.btf.size(ringRecordType(core.btf, name) ?? 0) ?? 0));
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
    if (!this.#isPerf) threadOf(this.name, reader, wakeup);
  }

  get #isPerf(): boolean {
    return this.#core.map(this.name).type === MapType.perfEventArray;
  }

  /**
   * For a ring declared with `EBPF_EVENTS`: what it is in the kernel. By default a ring, or where the kernel has none (before 5.8) a
   * perf event array.
   * @throws BpfError INVALID_STATE for a ring declared otherwise, and after load
   */
  get buffer(): BufferKind {
    this.#core.mustBeOpened(`map ${this.name}`);
    return this.#isPerf ? "perf" : "ring";
  }

  set buffer(kind: BufferKind) {
    if (kind !== "ring" && kind !== "perf")
      throw invalid(`${this.name}.buffer must be "ring" or "perf", got ${shown(kind)}`);
    this.#core.mustBeOpened(`map ${this.name}`);
    chooseBuffer(this.#core, this.name, kind);
  }
}
