/** 64-bit members, variables and typedefs that C declares to be numbers in JavaScript: `EBPF_NUMBER` of <ebpf/number.h>. */
import type { Btf } from "../btf/btf.js";

const TAG = "ebpf:number";

/** Tagged components by type id: members of structs and unions by their index, -1 for a variable or typedef itself. */
const known = new WeakMap<Btf, ReadonlyMap<number, ReadonlySet<number>>>();

function tagsOf(btf: Btf): ReadonlyMap<number, ReadonlySet<number>> {
  let tags = known.get(btf);
  if (tags === undefined) {
    const found = new Map<number, Set<number>>();
    for (const id of btf.findAll(TAG)) {
      const tag = btf.type(id);
      if (tag.kind !== "decl_tag") continue;
      const components = found.get(tag.type) ?? new Set();
      found.set(tag.type, components.add(tag.component));
    }
    tags = found;
    known.set(btf, tags);
  }
  return tags;
}

/** Whether the member at `index` of a struct or union was declared to be a number. */
export function isNumberMember(btf: Btf, structId: number, index: number): boolean {
  return tagsOf(btf).get(structId)?.has(index) ?? false;
}

/** Whether a variable or a typedef was declared to be a number. */
export function isNumberDeclaration(btf: Btf, id: number): boolean {
  return tagsOf(btf).get(id)?.has(-1) ?? false;
}
