/** What the generated and the closure form of a codec share: sizes and the bytes that no value covers. */
import type { RecordShape, Shape } from "./shape.js";

/** Bytes that must be there before a flexible end: a record may stop short of the padding that sizeof counts. */
export function fixedSize(shape: Shape): number {
  if (shape.kind !== "record") return shape.size;
  let end = 0;
  let tail = false;
  const walk = (record: RecordShape, base: number): void => {
    for (const { shape: inner, offset, bits } of record.members) {
      if (bits !== undefined) end = Math.max(end, base + Math.ceil((bits.offset + bits.size) / 8));
      else if (inner.kind === "record") walk(inner, base + offset);
      else if ("tail" in inner && inner.tail) {
        tail = true;
        end = Math.max(end, base + offset);
      } else end = Math.max(end, base + offset + inner.size);
    }
  };
  walk(shape, 0);
  return tail ? end : shape.size;
}

/** Ranges [start, end) of bytes that encoding must zero first: padding, bit-fields, unions, what may be left out. In order, apart from each other. */
export function uncovered(shape: Shape): [number, number][] {
  const covered: [number, number][] = [];
  collect(shape, 0, covered);
  covered.sort((a, b) => a[0] - b[0]);
  const gaps: [number, number][] = [];
  let at = 0;
  for (const [start, end] of covered) {
    if (start > at) gaps.push([at, start]);
    at = Math.max(at, end);
  }
  if (at < shape.size) gaps.push([at, shape.size]);
  return gaps;
}

function collect(shape: Shape, base: number, covered: [number, number][]): void {
  if (shape.kind === "record") {
    if (shape.union) return;
    for (const member of shape.members)
      if (member.bits === undefined && !member.owned) collect(member.shape, base + member.offset, covered);
  } else if (shape.kind === "array") {
    if (uncovered(shape.element).length === 0) covered.push([base, base + shape.size]);
  } else covered.push([base, base + shape.size]);
}
