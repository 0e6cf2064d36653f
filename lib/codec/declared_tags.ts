/**
 * Members, variables and typedefs that C declares to be something else in JavaScript than their type says: numbers, by `EBPF_NUMBER` of
 * <ebpf/number.h>, and addresses, by `EBPF_IPV4` and `EBPF_IPV6` of <ebpf/address.h>.
 */
import type { Btf } from "../btf/btf.js";

const NUMBER = "ebpf:number";
/** By the bytes of an address. */
const ADDRESSES = [
  ["ebpf:ipv4", 4],
  ["ebpf:ipv6", 16],
] as const;

/** Bytes of an address: IPv4 or IPv6. */
export type AddressBytes = 4 | 16;

/** Tagged components by type id: members of structs and unions by their index, -1 for a variable or typedef itself. */
type Tagged = ReadonlyMap<number, ReadonlySet<number>>;

const known = new WeakMap<Btf, Map<string, Tagged>>();

function tagged(btf: Btf, name: string): Tagged {
  const tags = known.get(btf) ?? new Map<string, Tagged>();
  known.set(btf, tags);
  let found = tags.get(name);
  if (found === undefined) {
    const components = new Map<number, Set<number>>();
    for (const id of btf.findAll(name)) {
      const tag = btf.type(id);
      if (tag.kind !== "decl_tag") continue;
      components.set(tag.type, (components.get(tag.type) ?? new Set()).add(tag.component));
    }
    found = components;
    tags.set(name, found);
  }
  return found;
}

/** What something was declared to be. */
export interface Declared {
  readonly number: boolean;
  readonly address: AddressBytes | undefined;
}

/** What the member at `index` of a struct or union was declared to be; without `index`, what a variable or a typedef was. */
export function declaredAs(btf: Btf, id: number, index = -1): Declared {
  const has = (name: string): boolean => tagged(btf, name).get(id)?.has(index) ?? false;
  return { number: has(NUMBER), address: ADDRESSES.find(([name]) => has(name))?.[1] };
}
