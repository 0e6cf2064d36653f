import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BpfObject } from "ebpf";
import { build, vmlinuxHeader } from "ebpf/build";
import { afterAll, describe, expect, test } from "vitest";
import { Btf } from "../../../lib/btf/btf.js";
import { inHostOrder } from "../../../lib/btf/byte_order.js";
import { checkBtfFile, checkObjectBtf } from "../../../lib/btf/for_libbpf.js";
import { kernelBtf } from "../../../lib/btf/sources.js";
import { readObject } from "../../../lib/object/source.js";
import { BtfBuilder } from "./support/builder.js";
import { vmlinux, Workshop } from "./support/tools.js";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

const root = fileURLToPath(new URL("../../..", import.meta.url));
const fixture = (name: string) => join(root, "test/fixtures", `${name}.bpf.o`);

/** Ids are given in the order of the calls, so a type can refer to one that is yet to come. */
function built(make: (builder: BtfBuilder) => unknown): BtfBuilder {
  const builder = new BtfBuilder();
  make(builder);
  return builder;
}

describe("what C can write", () => {
  test.each<[string, (b: BtfBuilder) => unknown]>([
    [
      "a list: a struct that a member points back to",
      (b) => {
        b.struct("node", 8, [["next", 2, 0]]);
        b.add("ptr", "", 1);
      },
    ],
    [
      "a list by way of a typedef and a const",
      (b) => {
        b.struct("node", 8, [["next", 2, 0]]);
        b.add("ptr", "", 3);
        b.add("const", "", 4);
        b.add("typedef", "node_t", 1);
      },
    ],
    [
      "a function in a struct that takes the struct",
      (b) => {
        b.struct("ops", 8, [["run", 2, 0]]);
        b.add("ptr", "", 3);
        b.add("func_proto", "", 0, [0, 4], { vlen: 1 });
        b.add("ptr", "", 1);
      },
    ],
    [
      "a struct without a name, within one that it points to",
      (b) => {
        b.struct("outer", 8, [["", 2, 0]]);
        b.struct("", 8, [["back", 3, 0]]);
        b.add("ptr", "", 1);
      },
    ],
    [
      "a flexible array, an empty struct, and a struct of nothing at the end",
      (b) => {
        const int = b.int("int", 4);
        const none = b.struct("none", 0, []);
        b.struct("s", 4, [
          ["n", int, 0],
          ["nothing", none, 32],
          ["tail", b.array(int, 0), 32],
        ]);
      },
    ],
    [
      "bit-fields, new and old",
      (b) => {
        const int = b.int("int", 4);
        b.struct("new", 4, [
          ["a", int, 0, 3],
          ["b", int, 29, 3],
        ]);
        b.struct("old", 4, [["a", b.int("int", 4, { bits: 3 }), 29]]);
      },
    ],
    [
      "a pointer to a function's prototype, to void, and to what is only declared",
      (b) => {
        b.add("ptr", "", b.add("func_proto", "", 0));
        b.add("ptr", "", 0);
        b.add("ptr", "", b.add("fwd", "later", 0));
      },
    ],
    ["an extern variable that has no type, as of the kernel's symbols", (b) => b.add("var", "symbol", 0, [2])],
    [
      "max_entries of a map: a pointer to an array larger than memory",
      (b) => b.add("ptr", "", b.array(b.int("int", 4), 0xffffffff)),
    ],
  ])("%s", (_name, make) => {
    const btf = built(make).parse();
    expect(btf.check()).toBe(btf);
  });

  const objects = ["test/fixtures", "bpf", "examples"].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((file) => file.endsWith(".bpf.o") && file !== "no_btf.bpf.o")
      .map((file) => join(root, folder, file)),
  );
  test("every object of ours", () => {
    expect(objects.length).toBeGreaterThan(30);
    for (const path of objects) expect(checkObjectBtf(readObject(path).bytes, path), path).toBe(true);
    expect(checkObjectBtf(readObject(fixture("no_btf")).bytes, "no_btf")).toBe(false);
  });

  const missing = existsSync(vmlinux) ? "" : ` (skipped: this kernel has no ${vmlinux})`;
  test.skipIf(missing !== "")(`the kernel's types${missing}`, () => {
    expect(kernelBtf().check()).toBe(kernelBtf());
  });

  test("split BTF, on its base", () => {
    const first = built((b) => b.struct("task", 8, [["next", 2, 0]]));
    first.add("ptr", "", 1);
    const second = new BtfBuilder({ types: 3, strings: first.stringLength });
    second.add("typedef", "task_t", 1);
    second.struct("mine", 8, [["task", 2, 0]]);
    const base = first.parse();
    expect(() => second.parse({ base }).check()).not.toThrow();
    second.add("typedef", "self", 5);
    expect(() => second.parse({ base }).check()).toThrow(/type 5 \(typedef\) refers to itself/);
  });
});

describe("what none can", () => {
  const cases: [string, (b: BtfBuilder) => unknown, RegExp][] = [
    ...(["ptr", "typedef", "volatile", "const", "restrict", "type_tag"] as const).map(
      (kind): [string, (b: BtfBuilder) => unknown, RegExp] => [
        `a ${kind} to itself`,
        (b) => b.add(kind, kind === "typedef" || kind === "type_tag" ? "t" : "", 1),
        new RegExp(`type 1 \\(${kind}\\) refers to itself$`),
      ],
    ),
    ["an array of itself", (b) => b.array(1, 1), /type 1 \(array\) refers to itself/],
    [
      "an array of arrays of the first",
      (b) => {
        b.array(2, 1);
        b.array(1, 1);
      },
      /refers to itself/,
    ],
    ["a prototype that returns itself", (b) => b.add("func_proto", "", 1), /type 1 \(func_proto\) refers to itself/],
    [
      "a prototype that takes a pointer to itself",
      (b) => {
        b.add("func_proto", "", 0, [0, 2], { vlen: 1 });
        b.add("ptr", "", 1);
      },
      /refers to itself/,
    ],
    [
      "two typedefs of each other, behind a const",
      (b) => {
        b.add("const", "", 2);
        b.add("typedef", "a", 3);
        b.add("typedef", "b", 2);
      },
      /type 2 \(typedef\) refers to itself/,
    ],
    ["a struct in itself", (b) => b.struct("s", 4, [["self", 1, 0]]), /type 1 \(struct\) refers to itself/],
    [
      "a struct in an array in itself",
      (b) => {
        b.struct("s", 4, [["self", 2, 0]]);
        b.array(1, 1);
      },
      /refers to itself/,
    ],
    [
      "a union in a struct in it",
      (b) => {
        b.struct("u", 4, [["s", 2, 0]], "union");
        b.struct("s", 4, [["u", 1, 0]]);
      },
      /type 1 \(union\) refers to itself/,
    ],
    [
      "a struct without a name that a member points back to",
      (b) => {
        b.struct("", 8, [["next", 2, 0]]);
        b.add("ptr", "", 1);
      },
      /refers to itself/,
    ],
    [
      "a variable of a typedef of itself",
      (b) => {
        b.add("var", "v", 2, [1]);
        b.add("typedef", "t", 2);
      },
      /type 2 \(typedef\) refers to itself/,
    ],
    ["a tag on itself", (b) => b.add("decl_tag", "t", 1, [0]), /type 1 \(decl_tag\) refers to type 1 \(decl_tag\)/],
    [
      "more within each other than a stack holds",
      (b) => {
        b.int("int", 4);
        for (let id = 2; id < 100_000; id++) b.add("const", "", id - 1);
      },
      /has more than 256 types within each other/,
    ],
    [
      "structs that double at each level",
      (b) => {
        b.int("int", 4);
        for (let id = 2; id < 42; id++)
          b.struct(`s${id}`, 2 ** (id - 28 > 0 ? 30 : id + 1), [
            ["a", id - 1, 0],
            ["b", id - 1, 0],
          ]);
      },
      /is made of more types than can be looked at/,
    ],
    ["a type that is not there", (b) => b.add("typedef", "t", 77), /type 1 \(typedef\) refers to type 77; there are 2/],
    ["a member's type that is not there", (b) => b.struct("s", 4, [["m", 77, 0]]), /refers to type 77/],
    [
      "a parameter's type that is not there",
      (b) => b.add("func_proto", "", 0, [0, 77], { vlen: 1 }),
      /refers to type 77/,
    ],
    ["an array's index that is not there", (b) => b.add("array", "", 0, [0, 77, 1]), /refers to type 77/],
    ["a name that is not there", (b) => b.add("struct", 9999, 4), /has string offset 9999, past the end/],
    [
      "a member's name that is not there",
      (b) => b.add("struct", "s", 4, [9999, b.int("int", 4), 0], { vlen: 1 }),
      /has string offset 9999/,
    ],
    [
      "an enum's name that is not there",
      (b) => b.add("enum", "e", 4, [9999, 0], { vlen: 1 }),
      /has string offset 9999/,
    ],
    ["an enum64's", (b) => b.add("enum64", "e", 8, [1, 0, 0, 9999, 0, 0], { vlen: 2 }), /has string offset 9999/],
    ["an int of 3 bytes", (b) => b.int("int", 3, { bits: 8 }), /type 1 \(int\) has a size of 3 bytes/],
    ["an int of 2 GiB", (b) => b.int("int", 0x80000004, { bits: 32 }), /has a size of 2147483652 bytes/],
    ["an int with more bits than bytes", (b) => b.int("int", 4, { bits: 33 }), /has 33 bits in 4 bytes/],
    ["an int with bits behind its bytes", (b) => b.int("int", 4, { bits: 8, offset: 25 }), /has 33 bits in 4 bytes/],
    ["an enum of 3 bytes", (b) => b.add("enum", "e", 3), /has a size of 3 bytes/],
    ["a float of 3 bytes", (b) => b.add("float", "f", 3), /has a size of 3 bytes/],
    ["a struct of 2 GiB", (b) => b.struct("s", 0x80000000, []), /has a size of 2147483648 bytes/],
    [
      "a member behind its struct",
      (b) => b.struct("s", 4, [["m", b.int("int", 4), 8]]),
      /has member 0 from bit 8 to 40 of its 32/,
    ],
    [
      "a bit-field behind its struct",
      (b) => b.struct("s", 4, [["m", b.int("int", 4), 30, 3]]),
      /from bit 30 to 33 of its 32/,
    ],
    [
      "an array within a byte",
      (b) => b.struct("s", 8, [["m", b.array(b.int("u8", 1), 2), 4]]),
      /has member 0 at bit 4, within a byte/,
    ],
    [
      "a member that is a function",
      (b) => b.struct("s", 8, [["m", b.add("func_proto", "", 0), 0]]),
      /member 0 of type 1, which has no size/,
    ],
    [
      "a member that is only declared",
      (b) => b.struct("s", 8, [["m", b.add("fwd", "later", 0), 0]]),
      /which has no size/,
    ],
    [
      "a gap that a header would take gigabytes to spell out",
      (b) => b.struct("s", 0x7fffffff, [["m", b.int("int", 4), 0]]),
      /has more padding than any C has/,
    ],
    ["a function that is none", (b) => b.add("func", "f", b.int("int", 4)), /type 2 \(func\) refers to type 1 \(int\)/],
    ["a pointer to a variable", (b) => b.add("ptr", "", b.add("var", "v", 0, [1])), /refers to type 1 \(var\)/],
    [
      "a section of types",
      (b) => b.add("datasec", ".bss", 0, [b.int("int", 4), 0, 4], { vlen: 1 }),
      /refers to type 1 \(int\)/,
    ],
    [
      "a variable outside of its section",
      (b) => b.add("datasec", ".bss", 8, [b.add("var", "v", b.int("int", 4), [1]), 6, 4], { vlen: 1 }),
      /has type 2 from 6 to 10 of its 8 bytes/,
    ],
    [
      "a variable larger than memory",
      (b) => b.add("var", "v", b.array(b.int("int", 4), 0x20000001), [1]),
      /type 3 \(var\) has a size of 2147483652 bytes/,
    ],
  ];
  test.each(cases)("%s", (_name, make, message) => {
    expect(() => built(make).parse({ name: "x.o" }).check()).toThrow(message);
    expect(() => built(make).parse({ name: "x.o" }).check()).toThrow(/^x\.o is not valid BTF: type \d+ /);
  });

  test("is refused wherever libbpf would be given it", async () => {
    const path = workshop.write("hostile.btf", built((b) => b.add("typedef", "t", 1)).bytes());
    const refusal = { code: "BTF_INVALID", message: `${path} is not valid BTF: type 1 (typedef) refers to itself` };
    const thrown = (action: () => unknown) => {
      try {
        return action();
      } catch (error) {
        return error;
      }
    };
    expect(thrown(() => vmlinuxHeader(path))).toMatchObject(refusal);
    expect(thrown(() => BpfObject.open(fixture("globals"), { btfPath: path }))).toMatchObject(refusal);
    await expect(build({ code: '#include "vmlinux.h"\n' }, { vmlinux: path })).rejects.toMatchObject(refusal);
  });
});

describe("files for libbpf", () => {
  test("of the other byte order, as libbpf takes them", () => {
    const bytes = built((b) => b.struct("node", 8, [["next", 2, 0]])).bytes();
    const view = new DataView(bytes.buffer);
    const other = bytes.slice();
    const swapped = new DataView(other.buffer);
    swapped.setUint16(0, view.getUint16(0, true), false);
    // Five words of header after magic, version and flags; three of the type; three of its member.
    for (let at = 4; at < 24 + 24; at += 4) swapped.setUint32(at, view.getUint32(at, true), false);
    expect(inHostOrder(other)).toEqual(bytes);
    expect(inHostOrder(bytes)).toBe(bytes);
    expect(() => checkBtfFile(workshop.write("other.btf", other))).toThrow(
      /type 1 \(struct\) refers to type 2; there are 2/,
    );
  });

  test("that are none", () => {
    expect(() => checkBtfFile(workshop.write("x.txt", "not BTF"))).toThrow(/x\.txt has no BTF that libbpf can read/);
    expect(() => checkBtfFile(fixture("no_btf"))).toThrow(/no_btf\.bpf\.o has no BTF that libbpf can read/);
    expect(() => checkBtfFile(workshop.path("none"))).toThrow(/^no such file/);
    expect(() => BpfObject.open(fixture("globals"), { btfPath: workshop.directory })).toThrow(/cannot read BTF/);
  });
});

test("Btf.parse alone looks at the header only", () => {
  expect(Btf.parse(built((b) => b.add("typedef", "t", 1)).bytes()).typeCount).toBe(2);
});
