import { existsSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { fileBtf, kernelBtf, moduleBtf } from "../../../lib/btf/sources.js";
import { BpfError } from "../../../lib/errors.js";
import { BtfBuilder } from "./support/builder.js";
import { vmlinux, Workshop } from "./support/tools.js";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

function errorOf(action: () => unknown): BpfError {
  try {
    action();
  } catch (error) {
    if (error instanceof BpfError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const missing = existsSync(vmlinux) ? "" : ` (skipped: this kernel has no ${vmlinux})`;

test.skipIf(missing !== "")(`the kernel's BTF is read once${missing}`, () => {
  expect(kernelBtf()).toBe(kernelBtf());
  expect(moduleBtf("vmlinux")).toBe(kernelBtf());
});

test("a module that is not there", () => {
  const error = errorOf(() => moduleBtf("no_such_module"));
  expect(error.code).toBe("BTF_MISSING");
  expect(error.message).toMatch(/^no BTF for module no_such_module: \/sys\/kernel\/btf\/no_such_module is not there/);
});

test.each(["", "../vmlinux", "a/b", "a b"])("%j is not a module's name", (name) => {
  expect(errorOf(() => moduleBtf(name)).code).toBe("INVALID_ARGUMENT");
});

describe("files", () => {
  test("of raw BTF", () => {
    const builder = new BtfBuilder();
    builder.int("int", 4);
    const btf = fileBtf(workshop.write("int.btf", builder.bytes()));
    expect(btf.find("int")).toBe(1);
  });

  test("that are split, with a base", () => {
    const first = new BtfBuilder();
    first.int("int", 4);
    const base = first.parse();
    const second = new BtfBuilder({ types: 2, strings: first.stringLength });
    second.add("typedef", "number", 1);
    expect(fileBtf(workshop.write("split.btf", second.bytes()), { base }).size(2)).toBe(4);
  });

  test("that are not there, objects, or something else", () => {
    expect(errorOf(() => fileBtf(workshop.path("none.btf")))).toMatchObject({
      code: "NOT_FOUND",
      message: `no such file: ${workshop.path("none.btf")}`,
    });
    const object = workshop.write("x.o", Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1));
    expect(errorOf(() => fileBtf(object))).toMatchObject({
      code: "BTF_INVALID",
      message: `${object} is an ELF object, not raw BTF; open it with BpfObject.open, or extract .BTF with objcopy`,
    });
    const text = workshop.write("x.txt", "This is a text of more than twenty-four bytes.");
    expect(errorOf(() => fileBtf(text)).message).toBe(`${text} is not valid BTF: magic 0x6854 in place of 0xeb9f`);
    expect(errorOf(() => fileBtf(workshop.directory))).toMatchObject({ code: "SYSTEM", errno: 21 });
  });
});
