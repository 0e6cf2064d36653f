/**
 * Whether BTF is what libbpf takes it to be. libbpf follows references without looking whether they lead anywhere, or back:
 * BTF that refers to itself hangs it, and other damage makes it read what is not there.
 */
import { Nesting } from "./nesting.js";
import { type CheckedTypes, Records } from "./records.js";

export type { CheckedTypes };

/** @throws BpfError `BTF_INVALID`, naming the first type that is not sound */
export function checkTypes(types: CheckedTypes): void {
  const records = new Records(types);
  for (let id = 1; id < types.count; id++) records.check(id);
  const nesting = new Nesting(records);
  for (let id = 1; id < types.count; id++) nesting.check(id);
}
