import { BpfError } from "ebpf";
import { expect } from "vitest";

/** The BpfError that `call` throws or rejects with. */
export async function errorOf(call: () => unknown): Promise<BpfError> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(BpfError);
    return error as BpfError;
  }
  return expect.fail("nothing was thrown");
}
