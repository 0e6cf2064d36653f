import { readdirSync } from "node:fs";
import { type HashMap, readPinnedIterator } from "ebpf";
import { describe, expect } from "vitest";
import { openOnly } from "../support/attach.js";
import { BpfFs } from "../support/bpffs.js";
import { TestCgroup } from "../support/cgroup.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { requires } from "../support/requires.js";

nothingStaysOpen();

const gate = requires({ attachType: "traceIter" });

describe("attach type", () => {
  gate.test("trace_iter", async () => {
    using object = await openOnly("attach_iter", ["dump_text", "dump_rows"]).load();
    using link = object.program("dump_text").attach();
    expect(link).toMatchObject({ kind: "iter", target: "task" });
    expect(link.info()).toMatchObject({ type: "iter" });
    using text = object.program("dump_text").attachIter();
    const threads = () => readdirSync("/proc/self/task").map((tid) => `${process.pid} ${tid}`);
    const lines: string[] = [];
    for await (const line of text.lines()) lines.push(line);
    expect(lines).toEqual(expect.arrayContaining(threads()));
    // Each reading runs anew.
    expect((await text.text()).split("\n")).toContain(`${process.pid} ${process.pid}`);

    interface Row {
      number: bigint;
      pid: number;
      tgid: number;
      comm: string;
    }
    using rows = object.program("dump_rows").attachIter();
    const found: Row[] = [];
    for await (const row of rows.records<Row>("struct task_row")) found.push(row);
    expect(found.map(({ number }) => number)).toEqual(found.map((_, i) => BigInt(i)));
    expect(found.find(({ pid }) => pid === process.pid)).toMatchObject({ tgid: process.pid });
    expect(found.find(({ pid }) => pid === 1)?.comm).not.toBe("");
    expect((await errorOf(() => rows.records("struct no_such").next())).code).toBe("BTF_NOT_FOUND");
    // The other program's output from the next reading on.
    rows.update(object.program("dump_text"));
    expect((await rows.text()).split("\n")).toContain(`${process.pid} ${process.pid}`);
    expect(rows.program).toBe("dump_text");
    rows.close();
    expect((await errorOf(() => rows.text())).code).toBe("CLOSED");
  });

  gate.test("trace_iter, of a map's elements, and pinned", async () => {
    using object = await openOnly("attach_iter", ["dump_map"]).load();
    const numbers = object.map("numbers") as HashMap<number, bigint>;
    numbers.set(1, 10n).set(2, 20n);
    using link = object.program("dump_map").attachIter({ map: numbers });
    expect((await link.text()).trim().split("\n").sort()).toEqual(["1=10", "2=20"]);
    numbers.delete(1);
    expect(await link.text()).toBe("2=20\n");
    using bpffs = new BpfFs();
    link.pin(`${bpffs.path}/numbers`);
    numbers.set(3, 30n);
    expect((await readPinnedIterator(`${bpffs.path}/numbers`)).trim().split("\n").sort()).toEqual(["2=20", "3=30"]);
    link.unpin();
    const missing = await errorOf(() => object.program("dump_map").attachIter());
    expect(missing.message).toContain("needs a map");
  });

  requires({ attachType: "traceIter", kernel: ">=6.1", cgroup2: true }).test(
    "trace_iter, of one process and of cgroups",
    async () => {
      using object = await openOnly("attach_iter", ["dump_text", "dump_cgroups"]).load();
      using own = object.program("dump_text").attachIter({ pid: process.pid });
      const lines = (await own.text()).trim().split("\n");
      expect(new Set(lines.map((line) => line.split(" ")[0]))).toEqual(new Set([String(process.pid)]));
      await using cgroup = new TestCgroup();
      using self = object.program("dump_cgroups").attachIter({ cgroup: cgroup.path, order: "self" });
      expect(await self.text()).toBe(`${cgroup.id}\n`);
      await using below = new TestCgroup(cgroup);
      const order = async (word: "pre" | "post" | "up") => {
        using link = object.program("dump_cgroups").attachIter({ cgroup: cgroup.path, order: word });
        return (await link.text()).trim().split("\n").map(BigInt);
      };
      expect(await order("pre")).toEqual([cgroup.id, below.id]);
      expect(await order("post")).toEqual([below.id, cgroup.id]);
      expect((await order("up")).slice(0, 1)).toEqual([cgroup.id]);
      expect(await order("up")).not.toContain(below.id);
      // One thread, that is not the first of its process.
      const tid = Number(readdirSync("/proc/self/task").find((name) => name !== String(process.pid)));
      using thread = object.program("dump_text").attachIter({ tid });
      expect(await thread.text()).toBe(`${process.pid} ${tid}\n`);
      using up = object.program("dump_cgroups").attachIter({ cgroup: cgroup.path, order: "up" });
      expect((await up.text()).split("\n")[0]).toBe(String(cgroup.id));
      const both = await errorOf(() => object.program("dump_text").attachIter({ pid: 1, tid: 1 }));
      expect(both.message).toContain("exclude each other");
    },
  );
});
