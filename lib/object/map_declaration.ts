/** What an object's BTF says of a map as it was declared: `__type(key, ...)`, `__type(value, ...)`. */
import type { Btf } from "../btf/btf.js";
import type { BtfMember } from "../btf/types.js";

export interface DeclaredTypes {
  /** BTF type ids; 0 where the declaration gives a size only, or nothing. */
  readonly keyTypeId: number;
  readonly valueTypeId: number;
}

/**
 * The types in a map's declaration, if it is declared. libbpf forgets them at load where the kernel takes no BTF with a map of that type (queues,
 * maps of maps, sockmaps and others: libbpf.c, bpf_object__create_map), and where another map is used in its place (one that is
 * pinned already, say) it has the ids of that one, which mean something in the BTF of whoever made it (bpf_map__reuse_fd).
 */
export function declaredTypes(btf: Btf, name: string): DeclaredTypes | undefined {
  const section = btf.find(".maps", "datasec");
  const maps = section === undefined ? undefined : btf.type(section);
  if (maps?.kind !== "datasec") return undefined;
  const variable = maps.variables.find(({ type }) => btf.name(type) === name);
  const declared = variable === undefined ? undefined : btf.type(variable.type);
  if (declared?.kind !== "var") return undefined;
  const struct = btf.type(btf.resolve(declared.type));
  if (struct.kind !== "struct") return undefined;
  const { members } = struct;
  return { keyTypeId: pointedTo(btf, members, "key"), valueTypeId: pointedTo(btf, members, "value") };
}

/** __type(name, t) is a member `t *name`. */
function pointedTo(btf: Btf, members: readonly BtfMember[], name: string): number {
  const member = members.find((candidate) => candidate.name === name);
  const type = member === undefined ? undefined : btf.type(btf.resolve(member.type));
  return type?.kind === "ptr" ? type.type : 0;
}
