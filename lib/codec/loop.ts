/** Decoding and handing over in one generated loop, for records at a constant distance: what a stream does most of its time. */
import type { Btf } from "../btf/btf.js";
import { DecodeEmitter } from "./generate_decode.js";
import { fixedSize } from "./layout.js";
import type { Memory } from "./memory.js";
import { hasTail, shapeOf } from "./shape.js";
import { canGenerate, Source } from "./source.js";

/** How far a loop is; the caller's own. */
export interface LoopPosition {
  /** The next record, counted from the start of the memory. */
  next: number;
}

/** What stops a loop before its end. */
export interface LoopControl {
  /** Set by whoever wants the loop to stop after this record. */
  interrupted: boolean;
  /** Asked after each record; true stops. */
  over(): boolean;
}

/**
 * Hands records `position.next` up to `count` to `handler`, called with `extra` behind the record.
 * `position.next` is past a record when its handler is called. Returns false when `control.over()` stopped it.
 *
 * The caller has checked that records are of `size` bytes, that size fits the type, and `stride` is a multiple of 8.
 */
export type RecordLoop<T = unknown> = (
  memory: Memory,
  position: LoopPosition,
  count: number,
  stride: number,
  size: number,
  handler: (record: T, extra: never) => void,
  extra: unknown,
  control: LoopControl,
) => boolean;

let loops = 0;

/**
 * The loop for a type; undefined where code must not be generated. Next to a loop around `decode()`, no record is checked again, and
 * each stream's loop is its own to V8, which then inlines that stream's handler.
 */
export function compileLoop<T = unknown>(btf: Btf, typeId: number, label: string): RecordLoop<T> | undefined {
  if (!canGenerate()) return undefined;
  const shape = shapeOf(btf, typeId);
  const source = new Source(label);
  const emitter = new DecodeEmitter(source, fixedSize(shape));
  // V8 keeps one feedback for one text. Two streams of one type would share it, and neither would have its handler inlined.
  const unique = `/* ${++loops} */`;
  const end = hasTail(shape) ? "const end = offset + size;" : "";
  source.function("loop", "memory, position, count, stride, size, handler, extra, control", (views) => {
    const value = emitter.value(views, shape, { base: "offset", offset: 0, alignment: 8 }, "", "end");
    return `${unique} if (count * stride > memory.byteLength) sizeMismatch(${source.label}, count * stride, memory.byteLength);
for (let at = position.next; at < count; at = position.next) {
  position.next = at + 1;
  const offset = at * stride; ${end}
  handler(${value}, extra);
  if (control.interrupted) return true;
  if (control.over()) return false;
}
return true;`;
  });
  return source.compile("loop") as RecordLoop<T>;
}
