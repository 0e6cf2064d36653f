import { expect, test } from "vitest";
import { errno, errnoName } from "../../../lib/kernel/errno.js";

test("an errno has a name, whether libuv knows it or not", () => {
  expect(errnoName(errno.EPERM)).toBe("EPERM");
  // libuv has "Unknown system error -67".
  expect(errnoName(errno.ENOLINK)).toBe("ENOLINK");
  expect(errnoName(524)).toBe("ENOTSUPP");
  expect(errnoName(4000)).toBe("errno 4000");
});
