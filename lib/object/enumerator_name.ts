/**
 * The name of an enum's value, by the constant object that a skeleton has for the enum; undefined where it has none, since an enum in C may hold any
 * number. Of several names of one value the first. For enums of the kernel's, whose values differ between versions, see {@link Btf.enumerators}.
 * @example
 * ```ts
 * import { enumeratorName } from "ebpf";
 * const verdict = { VERDICT_PASS: 0, VERDICT_BLOCK: 1 } as const; // as in a skeleton
 * console.log(enumeratorName(verdict, 1)); // VERDICT_BLOCK
 * ```
 */
export function enumeratorName<Name extends string>(
  enumeration: Readonly<Record<Name, number | bigint>>,
  value: number | bigint,
): Name | undefined {
  for (const name in enumeration) if (enumeration[name] === value) return name;
  return undefined;
}
