import { expect, expectTypeOf, test } from "vitest";
import { enumeratorName } from "../../../lib/object/enumerator_name.js";

const verdict = { VERDICT_PASS: 0, VERDICT_BLOCK: 1, VERDICT_DROP: 1, VERDICT_LARGE: 5_000_000_000n } as const;

test("a value's name by the object that a skeleton has for the enum", () => {
  expect(enumeratorName(verdict, 0)).toBe("VERDICT_PASS");
  expect(enumeratorName(verdict, 1)).toBe("VERDICT_BLOCK");
  expect(enumeratorName(verdict, 5_000_000_000n)).toBe("VERDICT_LARGE");
  expect(enumeratorName(verdict, 7)).toBeUndefined();
  expectTypeOf(enumeratorName(verdict, 0)).toEqualTypeOf<keyof typeof verdict | undefined>();
});
