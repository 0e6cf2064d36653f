/**
 * Members of map values that belong to the kernel: on the way out it puts one that has just begun in their place, and on the way in leaves what is
 * there (include/linux/bpf.h: bpf_obj_memcpy, check_and_init_map_value; kernel/bpf/btf.c: btf_get_field_type knows which). One that has just begun is zeros,
 * but of a list, which is a pointer to itself, and a reference count, which is 1 (bpf_obj_init_field).
 */
import type { Btf } from "../btf/btf.js";

/** Not nodes of lists and trees: those are in what programs allocate, and in a map's value bytes like others. */
const STRUCTS: ReadonlySet<string> = new Set([
  "bpf_spin_lock",
  "bpf_res_spin_lock",
  "bpf_timer",
  "bpf_wq",
  "bpf_task_work",
  "bpf_list_head",
  "bpf_rb_root",
  "bpf_refcount",
]);

/** `kptr_ref` until 6.3. A `uptr` is not among them: what it points to is given from here. */
const POINTER_TAGS: ReadonlySet<string> = new Set(["kptr", "kptr_ref", "kptr_untrusted", "percpu_kptr"]);

/** More tags on a pointer than anyone writes; hostile BTF has a cycle of them. */
const MAX_TAGS = 32;

/** Whether a member of the type, or an array of it, is the kernel's own. */
export function isKernelOwned(btf: Btf, id: number): boolean {
  let type = btf.type(btf.resolve(id));
  for (let depth = 0; type.kind === "array" && depth < MAX_TAGS; depth++) type = btf.type(btf.resolve(type.element));
  if (type.kind === "struct") return STRUCTS.has(type.name);
  if (type.kind !== "ptr") return false;
  let target = btf.type(type.type);
  for (let step = 0; target.kind === "type_tag" && step < MAX_TAGS; step++) {
    if (POINTER_TAGS.has(target.name)) return true;
    target = btf.type(target.type);
  }
  return false;
}
