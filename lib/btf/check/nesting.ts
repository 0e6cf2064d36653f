/** All types together: each has an end, a size that holds what is in it, and not more in it than can be looked at. */
import { isModifier, KIND } from "../records.js";
import { MAX_SIZE, type Records } from "./records.js";

/** Types within types, for each of which libbpf calls itself. The kernel takes 32 from programs and does not hold its own to that. */
const MAX_DEPTH = 256;
/**
 * What all types are made of, each part counted as often as it occurs: libbpf looks at all of them, which takes for ever where each of
 * 40 structs has the one before it twice. Linux 7.2 has a fourteenth of it.
 */
const MAX_PARTS = 1 << 24;
/** Bytes between members, in all structs together: a C header spells them out, 8 at a time. Linux 7.2 has 67,000. */
const MAX_PADDING = 1 << 24;

const NO_SIZE = -1;

const OPEN = 1;
const DONE = 2;

/**
 * A type is looked at in two ways: whole, and as what a pointer leads to. Of a struct that has a name the latter is the name alone, and so
 * end C's lists and trees, the only types that do lead back to themselves. Each way is a node: a type's id, plus the count of types
 * for the latter.
 */
export class Nesting {
  readonly #records: Records;
  readonly #count: number;
  readonly #state: Uint8Array;
  readonly #depth: Uint16Array;
  readonly #parts: Float64Array;
  /** Bytes of a whole type. */
  readonly #size: Float64Array;
  #padding = 0;
  #allParts = 0;

  constructor(records: Records) {
    this.#records = records;
    const { count } = records.types;
    this.#count = count;
    this.#state = new Uint8Array(2 * count);
    this.#depth = new Uint16Array(2 * count);
    this.#parts = new Float64Array(2 * count);
    this.#size = new Float64Array(count).fill(NO_SIZE);
    this.#state[0] = DONE;
    this.#state[count] = DONE;
  }

  /** The type, and before it what it is made of. Does not call itself: how deep that would go is what it finds out. */
  check(id: number): void {
    const state = this.#state;
    if (state[id] === DONE) return;
    const path = [id];
    const next = [0];
    state[id] = OPEN;
    for (let top = 0; top >= 0; ) {
      const node = path[top] as number;
      const child = this.#child(node, next[top] as number);
      if (child === undefined) {
        this.#finish(node);
        top--;
      } else if (state[child] === DONE) {
        this.#add(node, child);
        next[top] = (next[top] as number) + 1;
      } else if (state[child] === OPEN) {
        this.#records.fail(child % this.#count, "refers to itself");
      } else {
        state[child] = OPEN;
        top++;
        path[top] = child;
        next[top] = 0;
      }
    }
  }

  /** The node of the `index`-th type that a node's type is made of. */
  #child(node: number, index: number): number | undefined {
    const count = this.#count;
    const way = node < count ? 0 : count;
    const id = node - way;
    const { types } = this.#records;
    const words = types.words(id);
    const start = types.start(id);
    const elements = (words[start + 1] as number) & 0xffff;
    const kind = this.#records.kind(id);
    if (isModifier(kind) || kind === KIND.var) return index === 0 ? (words[start + 2] as number) + way : undefined;
    switch (kind) {
      case KIND.ptr:
        return index === 0 ? (words[start + 2] as number) + count : undefined;
      case KIND.array:
        return index === 0 ? (words[start + 3] as number) + way : undefined;
      case KIND.struct:
      case KIND.union:
        // Through a pointer a struct without a name is written out, and so looked at whole.
        return index < elements && (way === 0 || words[start] === 0)
          ? (words[start + 4 + 3 * index] as number)
          : undefined;
      case KIND.func_proto:
        if (index === 0) return (words[start + 2] as number) + way;
        return index <= elements ? (words[start + 2 + 2 * index] as number) + way : undefined;
      default:
        return undefined;
    }
  }

  /** Counts a part of a node's type: the part itself is done. */
  #add(node: number, child: number): void {
    const depth = this.#depth;
    depth[node] = Math.max(depth[node] as number, (depth[child] as number) + 1);
    this.#parts[node] = (this.#parts[node] as number) + (this.#parts[child] as number);
  }

  #finish(node: number): void {
    this.#state[node] = DONE;
    const whole = node < this.#count;
    const id = whole ? node : node - this.#count;
    const kind = this.#records.kind(id);
    if ((this.#depth[node] as number) > MAX_DEPTH)
      this.#records.fail(id, `has more than ${MAX_DEPTH} types within each other`);
    // Through a pointer a typedef is its name.
    const parts = !whole && kind === KIND.typedef ? 1 : (this.#parts[node] as number) + 1;
    this.#parts[node] = parts;
    this.#allParts += parts;
    if (this.#allParts > MAX_PARTS) this.#records.fail(id, "is made of more types than can be looked at");
    if (whole) this.#size[id] = this.#measure(id, kind);
  }

  #measure(id: number, kind: number): number {
    const { types } = this.#records;
    const words = types.words(id);
    const start = types.start(id);
    const third = words[start + 2] as number;
    if (isModifier(kind)) return this.#size[third] as number;
    switch (kind) {
      case KIND.int:
      case KIND.float:
      case KIND.enum:
      case KIND.enum64:
        return third;
      case KIND.struct:
      case KIND.union:
        this.#members(id, kind === KIND.struct);
        return third;
      case KIND.ptr:
        return types.pointerSize;
      case KIND.array: {
        const element = this.#size[words[start + 3] as number] as number;
        return element === NO_SIZE ? NO_SIZE : element * (words[start + 5] as number);
      }
      case KIND.var: {
        const size = this.#size[third] as number;
        if (size > MAX_SIZE) this.#records.fail(id, `has a size of ${size} bytes`);
        return size;
      }
      default:
        return NO_SIZE;
    }
  }

  /** Members lie within their struct, and not too far from each other. */
  #members(id: number, isStruct: boolean): void {
    const { types } = this.#records;
    const words = types.words(id);
    const start = types.start(id);
    const info = words[start + 1] as number;
    const flag = info >>> 31 === 1;
    const bits = (words[start + 2] as number) * 8;
    let last = 0;
    for (let at = start + 3, index = 0; index < (info & 0xffff); at += 3, index++) {
      const type = words[at + 1] as number;
      const place = words[at + 2] as number;
      // With the flag set the offset word holds the size of a bit-field in its upper byte.
      const offset = flag ? place & 0xffffff : place;
      const width = flag ? place >>> 24 : 0;
      if (this.#size[type] === NO_SIZE)
        this.#records.fail(id, `has member ${index} of type ${type}, which has no size`);
      // In the old form an integer is a bit-field without saying so.
      if (offset % 8 !== 0 && width === 0 && this.#records.kind(type) !== KIND.int)
        this.#records.fail(id, `has member ${index} at bit ${offset}, within a byte`);
      const end = offset + (width === 0 ? this.#bits(type) : width);
      if (end > bits) this.#records.fail(id, `has member ${index} from bit ${offset} to ${end} of its ${bits}`);
      if (isStruct) this.#padding += Math.max(0, offset - last) / 8;
      last = end;
    }
    if (isStruct) this.#padding += (bits - last) / 8;
    if (this.#padding > MAX_PADDING) this.#records.fail(id, "has more padding than any C has");
  }

  /** Of a member. Bit-fields in the old form are integers that say themselves how many of their bytes' bits they have. */
  #bits(id: number): number {
    if (this.#records.kind(id) === KIND.int) {
      const { types } = this.#records;
      const encoding = types.words(id)[types.start(id) + 3] as number;
      return (encoding & 0xff) + ((encoding >>> 16) & 0xff);
    }
    return (this.#size[id] as number) * 8;
  }
}
