import type { Btf } from "../btf/btf.js";
import { compileCodec, Memory } from "../codec/codec.js";
import { isRecord } from "../codec/values.js";

type Members = Readonly<Record<string, unknown>>;

/**
 * A struct's value with the members that it does not say as zero: a context has dozens, and the kernel wants those that it does not let be set to
 * be just that. Of a union's members one is enough, which is left to the codec.
 */
export function withZeroes(btf: Btf, typeId: number, value: unknown): unknown {
  const type = btf.type(btf.resolve(typeId));
  if (type.kind !== "struct" || !isRecord(value)) return value;
  const zero = compileCodec<Members>(btf, typeId).decode(
    new Memory(new ArrayBuffer(Math.max(1, type.size))),
    0,
    type.size,
  );
  const complete: Record<string, unknown> = { ...value };
  addMembers(btf, typeId, value, zero, complete);
  return complete;
}

function addMembers(btf: Btf, typeId: number, value: Members, zero: Members, complete: Record<string, unknown>): void {
  const type = btf.type(btf.resolve(typeId));
  if (type.kind !== "struct" && type.kind !== "union") return;
  if (type.kind === "union" && namesOf(btf, typeId).some((name) => Object.hasOwn(value, name))) return;
  // Those of an anonymous struct or union are the outer one's.
  for (const { name, type: id } of type.kind === "union" ? type.members.slice(0, 1) : type.members) {
    if (name === "") addMembers(btf, id, value, zero, complete);
    else complete[name] = Object.hasOwn(value, name) ? withZeroes(btf, id, value[name]) : zero[name];
  }
}

function namesOf(btf: Btf, typeId: number): string[] {
  const type = btf.type(btf.resolve(typeId));
  if (type.kind !== "struct" && type.kind !== "union") return [];
  return type.members.flatMap(({ name, type: id }) => (name === "" ? namesOf(btf, id) : [name]));
}
