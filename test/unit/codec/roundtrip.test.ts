import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { shapeCodec } from "../../../lib/codec/codec.js";
import { Memory } from "../../../lib/codec/memory.js";
import { shapeReader } from "../../../lib/codec/reader.js";
import { shapeOf } from "../../../lib/codec/shape.js";
import { Workshop } from "../btf/support/tools.js";
import {
  body,
  expression,
  type Leaf,
  leaves,
  PRELUDE,
  pastExact,
  random,
  randomValue,
  type Scalar,
  type Struct,
  scalarValue,
  struct,
  textValue,
  type Value,
} from "./support/c_types.js";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

/** A struct, a value of it, and both in C. */
class Case {
  readonly name: string;
  readonly value: { [name: string]: Value };
  readonly declaration: string;
  /** Statements on a `struct ... *s`. */
  readonly assign: string;
  readonly compare: string;
  /** Length of the record as an expression; a flexible end decides it. */
  readonly length: string;
  /** Bytes of it after a string at its end. */
  readonly unused: number;

  constructor(index: number, { type, tail, seed }: Struct) {
    const next = random(seed);
    this.name = `s${index}`;
    this.value = randomValue(type, next) as { [name: string]: Value };
    const all: Leaf[] = [...leaves(type, this.value, "(*s)")];
    let last = "";
    this.length = `sizeof(struct ${this.name})`;

    if (tail !== undefined) {
      const c = tail.element === "chars" ? "char" : tail.element === "bytes" ? "unsigned char" : tail.element.c;
      last = `${c} tail[]${(typeof tail.element === "object" && tail.element.attribute) || ""};`;
      const value =
        typeof tail.element === "string"
          ? textValue({ kind: tail.element, length: tail.length }, next)
          : Array.from({ length: tail.length }, () => scalarValue(tail.element as Scalar, undefined, next));
      this.value["tail"] = value;
      if (typeof tail.element === "string")
        all.push(...leaves({ kind: tail.element, length: tail.length }, value, "(*s).tail"));
      else
        for (const [i, item] of (value as Value[]).entries())
          all.push(...leaves(tail.element, item, `(*s).tail[${i}]`, ["tail", i]));
      this.length = `(__builtin_offsetof(struct ${this.name}, tail) + ${tail.length} * sizeof(${c}))`;
    }
    this.unused = tail?.element === "chars" ? tail.length - Buffer.byteLength(this.value["tail"] as string) : 0;
    // C wants a named member beside a flexible array.
    const members =
      tail !== undefined && type.members.length === 0 ? { ...type, members: [{ name: "f", type: zero }] } : type;
    if (members !== type) this.value["f"] = 0;
    this.declaration = `struct ${this.name} ${body(members, last)} ${type.attributes};`;
    this.assign = all.map(({ target, source }) => `${target} = ${source};`).join("\n");
    this.compare = all.map(({ target, source }, i) => `if (${target} != ${source}) return ${i + 1};`).join("\n");
    this.targets = all.map(({ target }) => target);
    this.past = pastOf(all, next);
    this.assignPast = this.past === undefined ? "" : `${this.past.target} = ${this.past.source};`;
  }

  readonly targets: readonly string[];
  /** One of the numbers, as it is when it is none. */
  readonly past: Past | undefined;
  readonly assignPast: string;
}

/** A value past 2^53 for one of the leaves that are exact numbers. */
interface Past {
  readonly target: string;
  readonly source: string;
  readonly value: bigint;
  readonly path: readonly (string | number)[];
}

function pastOf(all: readonly Leaf[], next: (below: number) => number): Past | undefined {
  const candidates = all.flatMap(({ target, exact }) => {
    if (exact === undefined) return [];
    const value = pastExact(exact.type.signed, exact.width, next);
    return value === undefined ? [] : [{ target, source: expression(exact.type, value), value, path: exact.path }];
  });
  return candidates[next(Math.max(1, candidates.length))];
}

/** The value with another one at the path. */
function withValue(value: Value, [first, ...rest]: readonly (string | number)[], leaf: Value): Value {
  if (first === undefined) return leaf;
  const inner = (value as { [name: string]: Value })[first] as Value;
  const changed = withValue(inner, rest, leaf);
  return Array.isArray(value)
    ? value.with(Number(first), changed)
    : { ...(value as { [name: string]: Value }), [first]: changed };
}

/** How errors write a path; decoding does not count the elements of arrays. */
function pathText(path: readonly (string | number)[], counted: boolean): string {
  return path.map((part) => (typeof part === "string" ? `.${part}` : counted ? `[${part}]` : "[]")).join("");
}

/** Reads all there is, of a cursor too. */
function visit(value: unknown): void {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value))
    for (const inner of Object.values(value)) visit(inner);
}

const zero: Scalar = { kind: "scalar", c: "unsigned int", bits: 32, signed: false, as: "number" };

function bpfSource(cases: readonly Case[]): string {
  // A pointer to each makes clang write its BTF.
  return `${PRELUDE}${cases.map(({ name, declaration }) => `${declaration}\nstruct ${name} *p_${name};`).join("\n")}`;
}

/** `write` puts out, per struct, its size, its record's length and the record, and these again with a number past 2^53; `read` reads records and says which leaf differs. */
function nativeSource(cases: readonly Case[]): string {
  const functions = cases.map(
    ({ name, declaration, assign, assignPast, compare }) => `${declaration}
static void assign_${name}(struct ${name} *s) { ${assign} }
static void assign_past_${name}(struct ${name} *s) { ${assignPast} }
static int compare_${name}(struct ${name} *s) { ${compare} return 0; }`,
  );
  const each = (text: (one: Case) => string): string => cases.map(text).join("\n");
  return `#include <stdio.h>
#include <string.h>
#include <stdlib.h>
${PRELUDE}
${functions.join("\n")}
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
static void put(unsigned size, unsigned length, void *bytes, unsigned room) {
  fwrite(&size, 4, 1, stdout); fwrite(&length, 4, 1, stdout); fwrite(&room, 4, 1, stdout); fwrite(bytes, 1, room, stdout);
}
static void *take(FILE *in, unsigned room) { void *bytes = aligned_alloc(64, (room + 127) & ~63u); if (fread(bytes, 1, room, in) != room) exit(3); return bytes; }
int main(int argc, char **argv) {
  if (argc == 1) {
${each(({ name, length }) => `{ unsigned room = LARGER(sizeof(struct ${name}), ${length}); void *s = aligned_alloc(64, (room + 127) & ~63u); memset(s, 0, room); assign_${name}(s); put(sizeof(struct ${name}), ${length}, s, room); assign_past_${name}(s); put(sizeof(struct ${name}), ${length}, s, room); }`)}
    return 0;
  }
  FILE *in = fopen(argv[1], "r");
${each(({ name, length }) => `{ void *s = take(in, LARGER(sizeof(struct ${name}), ${length})); printf("%d ", compare_${name}(s)); }`)}
  return 0;
}`;
}

interface Record {
  readonly size: number;
  readonly length: number;
  readonly bytes: Uint8Array;
}

function readRecords(output: Buffer, count: number): Record[] {
  const view = new DataView(output.buffer, output.byteOffset, output.byteLength);
  const records: Record[] = [];
  for (let at = 0; records.length < count; ) {
    const word = (i: number): number => view.getUint32(at + 4 * i, true);
    const room = word(2);
    records.push({ size: word(0), length: word(1), bytes: new Uint8Array(output.subarray(at + 12, at + 12 + room)) });
    at += 12 + room;
  }
  return records;
}

/** Whether `actual` has all of `expected`: decoding gives every alternative of a union, of which one was assigned. */
function expectWithin(actual: unknown, expected: Value, path: string): void {
  if (typeof expected !== "object" || expected instanceof Uint8Array) {
    expect(actual, path).toEqual(expected);
    return;
  }
  expect(Array.isArray(actual), path).toBe(Array.isArray(expected));
  if (Array.isArray(expected)) expect((actual as unknown[]).length, path).toBe(expected.length);
  for (const [name, value] of Object.entries(expected))
    expectWithin((actual as { [name: string]: unknown })[name], value, `${path}.${name}`);
}

let runs = 0;
let pasts = 0;

test("what C writes we read, what we write C reads", { timeout: 120_000 }, () => {
  fc.assert(
    // A batch by its seed: one compilation for many structs, and a counterexample that can be read.
    fc.property(fc.integer(), (seed) => {
      const run = `run${runs++}`;
      const cases = fc.sample(struct, { seed, numRuns: 60 }).map((one, index) => new Case(index, one));
      const btf = workshop.btf(run, bpfSource(cases));
      const native = workshop.compileNative(run, nativeSource(cases));
      const records = readRecords(native(), 2 * cases.length);
      const written: Uint8Array[] = [];
      for (const [index, one] of cases.entries()) {
        const { size, length, bytes } = records[2 * index] as Record;
        const shape = shapeOf(btf, btf.get(one.name, "struct"));
        const context = `${one.name}: ${one.declaration}`;
        let first: unknown;
        for (const generate of [true, false]) {
          const codec = shapeCodec(shape, one.name, one.name, generate);
          expect(codec.size, context).toBe(size);
          for (const offset of [0, 16, 17]) {
            const memory = Memory.allocate(bytes.length + 32);
            memory.bytes.fill(0xa5);
            memory.bytes.set(bytes, offset);
            const decoded = codec.decode(memory, offset, length);
            expectWithin(decoded, one.value, context);
            expect(shapeReader(shape, one.name, generate)(memory).at(offset, length), context).toEqual(decoded);
            first ??= decoded;
            expect(decoded, context).toEqual(first);

            memory.bytes.fill(0xa5);
            expect(codec.encode(memory, offset, one.value, bytes.length), context).toBe(
              Math.max(size, length - one.unused),
            );
            const encoded = memory.bytes.slice(offset, offset + bytes.length);
            expect(encoded, `${context}, padding included`).toEqual(bytes);
            expect(
              memory.bytes.subarray(0, offset).every((byte) => byte === 0xa5),
              context,
            ).toBe(true);
            expect(
              memory.bytes.subarray(offset + bytes.length).every((byte) => byte === 0xa5),
              context,
            ).toBe(true);
            if (generate && offset === 0) written.push(encoded);

            // All alternatives of each union, as decoding gives them, agree and are taken.
            memory.bytes.fill(0x5a);
            codec.encode(memory, offset, decoded, bytes.length);
            expect(codec.decode(memory, offset, length), context).toEqual(decoded);

            if (one.past === undefined) continue;
            pasts++;
            const { bytes: pastBytes } = records[2 * index + 1] as Record;
            const { path, value } = one.past;
            memory.bytes.set(pastBytes, offset);
            const refusal = expect.objectContaining({
              code: "VALUE_INVALID",
              message: `${one.name} ${pathText(path, false)}: a value of about ${Number(value)} is past 2^53 and has no exact number; leave it a bigint`,
            });
            expect(() => codec.decode(memory, offset, length), context).toThrowError(refusal);
            const cursor = shapeReader(shape, one.name, generate)(memory).at(offset, length);
            expect(() => visit(cursor), context).toThrowError(refusal);
            // As a number it would be another; as a bigint it is what it is.
            expect(
              () => codec.encode(memory, offset, withValue(one.value, path, Number(value)), bytes.length),
              context,
            ).toThrowError(
              expect.objectContaining({
                code: "VALUE_INVALID",
                message: `${one.name} ${pathText(path, true)}: expected a bigint or a whole number up to 2^53, got ${Number(value)}`,
              }),
            );
            codec.encode(memory, offset, withValue(one.value, path, value), bytes.length);
            expect(memory.bytes.slice(offset, offset + bytes.length), context).toEqual(pastBytes);
          }
        }
      }
      const verdicts = native(workshop.write(`${run}.bin`, Buffer.concat(written)))
        .toString()
        .trim()
        .split(" ")
        .map(Number);
      for (const [index, verdict] of verdicts.entries()) {
        const one = cases[index] as Case;
        expect(verdict === 0 ? "" : one.targets[verdict - 1], `${one.declaration}`).toBe("");
      }
    }),
    { numRuns: 5, endOnFailure: true },
  );
  expect(pasts).toBeGreaterThan(0);
});
