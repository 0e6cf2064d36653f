import { existsSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { kernelBtf } from "../../../lib/btf/sources.js";
import { BTF_KINDS } from "../../../lib/btf/types.js";
import { vmlinux, Workshop } from "./support/tools.js";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

const missing = existsSync(vmlinux) ? "" : ` (skipped: this kernel has no ${vmlinux})`;

test.skipIf(missing !== "")(
  `every type of the kernel has the size and members that libbpf finds${missing}`,
  { timeout: 60_000 },
  () => {
    const btf = kernelBtf();
    const differences: string[] = [];
    const sizeOf = (id: number): number => {
      try {
        return btf.size(id);
      } catch {
        return -1;
      }
    };
    let types = 0;
    let members = 0;
    let current = 0;
    let index = 0;
    for (const line of workshop.dump("layout", vmlinux).toString().split("\n")) {
      const [tag, a, b, c, ...rest] = line.split(" ");
      if (tag === "T") {
        current = Number(a);
        index = 0;
        types++;
        const ours = `${BTF_KINDS.indexOf(btf.kind(current))} ${sizeOf(current)}`;
        if (ours !== `${b} ${c}`) differences.push(`type ${current}: ${ours}, libbpf ${b} ${c}`);
      } else if (tag === "M") {
        const type = btf.type(current);
        const member = type.kind === "struct" || type.kind === "union" ? type.members[index++] : undefined;
        members++;
        const ours = member && `${member.bitOffset} ${member.bitfieldSize} ${sizeOf(member.type)} ${member.name}`;
        const theirs = `${a} ${b} ${c} ${rest.join(" ")}`;
        if (ours !== theirs) differences.push(`${btf.describe(current)} member ${index}: ${ours}, libbpf ${theirs}`);
      }
    }
    expect(differences.slice(0, 20)).toEqual([]);
    expect(types).toBe(btf.typeCount - 1);
    expect(members).toBeGreaterThan(10_000);
  },
);

test.skipIf(missing !== "")(`names of the kernel's types are found, by kind${missing}`, () => {
  const btf = kernelBtf();
  const task = btf.get("task_struct", "struct");
  expect(btf.describe(task)).toBe("struct task_struct");
  expect(btf.size(task)).toBeGreaterThan(1000);
  expect(btf.find("task_struct", "func")).toBeUndefined();
  expect(btf.describe(btf.get("__be32", "typedef"))).toBe("__be32");
  expect(() => btf.get("tsak_struct", "struct")).toThrow(
    /has no struct "tsak_struct" \(did you mean "task_struct"\?\)/,
  );
  // Every struct that is found by its name has that name.
  const named = [...btf.types()].filter((type) => type.kind === "struct" && type.name !== "");
  for (let i = 0; i < named.length; i += 500) {
    const type = named[i];
    if (type !== undefined) expect(btf.findAll(type.name)).toContain(type.id);
  }
});
