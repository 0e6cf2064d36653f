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

function addressOf(btf: Btf, id: number, component: number): AddressBytes | undefined {
  return ADDRESSES.find(([name]) => tagged(btf, name).get(id)?.has(component))?.[1];
}

/** Whether the member at `index` of a struct or union was declared to be a number. */
export function isNumberMember(btf: Btf, structId: number, index: number): boolean {
  return tagged(btf, NUMBER).get(structId)?.has(index) ?? false;
}

/** Whether a variable or a typedef was declared to be a number. */
export function isNumberDeclaration(btf: Btf, id: number): boolean {
  return tagged(btf, NUMBER).get(id)?.has(-1) ?? false;
}

/** What address the member at `index` of a struct or union was declared to be. */
export function addressOfMember(btf: Btf, structId: number, index: number): AddressBytes | undefined {
  return addressOf(btf, structId, index);
}

/** What address a variable or a typedef was declared to be. */
export function addressOfDeclaration(btf: Btf, id: number): AddressBytes | undefined {
  return addressOf(btf, id, -1);
}
