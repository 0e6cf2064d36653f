/** What `ebpf prog`, `map` and `link` print of what the test itself put into the kernel, held against the kernel's fdinfo. */
import { readFileSync } from "node:fs";
import { type BpfMap, type CreateMapOptions, createMap } from "ebpf";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { runCommand } from "../../lib/cli/command.js";
import type { Stream } from "../../lib/cli/output.js";
import { Skeleton } from "../fixtures/skeleton.bpf.js";
import { TestCgroup } from "./support/cgroup.js";
import { requires } from "./support/requires.js";

class Text implements Stream {
  text = "";
  readonly isTTY: boolean;
  readonly columns: number | undefined;
  constructor({ isTTY = false, columns }: { isTTY?: boolean; columns?: number } = {}) {
    this.isTTY = isTTY;
    this.columns = columns;
  }
  write(text: string): void {
    this.text += text;
  }
}

async function print(args: readonly string[], stdout = new Text()): Promise<string> {
  const stderr = new Text();
  const status = await runCommand(args, { stdout, stderr });
  expect({ status, stderr: stderr.text }).toEqual({ status: 0, stderr: "" });
  return stdout.text;
}

interface Listing {
  readonly head: readonly string[];
  /** Cells by the first one, the id; each as wide as its column, without the spaces at its end. */
  readonly rows: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

/** Cuts a listing at the columns of its head. */
function cut(text: string): Listing {
  const [head = "", ...lines] = text.trimEnd().split("\n");
  const columns = [...head.matchAll(/\S+/g)];
  const starts = columns.map(({ index }) => index);
  const names = columns.map(([name]) => name);
  const rows = lines.map((line) => {
    const cells = starts.map((start, i) => {
      // Two spaces at least before every column but the first: nothing runs into the next one.
      if (start > 0 && line.length > start) expect(line.slice(start - 2, start)).toBe("  ");
      return line.slice(start, starts[i + 1]).trimEnd();
    });
    expect(line).toBe(line.trimEnd());
    return [cells[0] ?? "", Object.fromEntries(names.map((name, i) => [name, cells[i] ?? ""]))] as const;
  });
  return { head: names, rows: new Map(rows) };
}

function fdinfo(fd: number): Readonly<Record<string, string>> {
  const lines = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8").trim().split("\n");
  return Object.fromEntries(lines.map((line) => line.split(/:\s*/, 2)));
}

/** The kernel's numbers of what is listed by name (include/uapi/linux/bpf.h). */
const NUMBERS = { xdp: "6", hash: "1", array: "2", percpu_array: "6", queue: "22" } as const;

let skeleton: Skeleton;
beforeEach(async () => {
  skeleton = await Skeleton.load();
});
afterEach(() => skeleton.close());

const suite = requires({ mapType: "ringbuf", kernel: ">=5.9" });

suite.describe("ebpf prog", () => {
  test("has a row for each program: its number, type, name, tag, size, maps", async () => {
    const { generate } = skeleton.programs;
    const kernel = fdinfo(generate.fd);
    const { head, rows } = cut(await print(["prog"]));
    expect(head).toEqual(["ID", "TYPE", "NAME", "TAG", "BYTES", "MAPS", "RUNS"]);
    expect(kernel["prog_type"]).toBe(NUMBERS.xdp);
    const { mapIds, jitedSize, translatedSize } = generate.info();
    expect(rows.get(kernel["prog_id"] ?? "")).toEqual({
      ID: `${generate.info().id}`,
      TYPE: "xdp",
      NAME: "generate",
      TAG: kernel["prog_tag"],
      BYTES: `${kernel["prog_jited"] === "1" ? jitedSize : translatedSize}`,
      MAPS: mapIds.join(","),
      RUNS: "",
    });
    expect(mapIds).toContain(skeleton.maps.table.info().id);
    expect(mapIds.length).toBeGreaterThan(1);
    const [{ memory } = { memory: 0 }] = (
      JSON.parse(await print(["prog", "--json"])) as { id: number; memory: number }[]
    ).filter(({ id }) => `${id}` === kernel["prog_id"]);
    expect(`${memory}`).toBe(kernel["memlock"]);
  });

  test("as JSON is what info() says, 64-bit numbers as strings", async () => {
    const info = skeleton.programs.generate.info();
    const all = JSON.parse(await print(["prog", "--json"])) as { id: number }[];
    expect(all.find(({ id }) => id === info.id)).toEqual(
      JSON.parse(JSON.stringify(info, (_, value) => (typeof value === "bigint" ? `${value}` : value))),
    );
    expect(all.map(({ id }) => id)).toEqual(all.map(({ id }) => id).sort((a, b) => a - b));
  });
});

suite.describe("ebpf map", () => {
  test.each([
    ["hash", { key: 6, value: 10, maxEntries: 77, flags: ["no_prealloc"] }],
    ["array", { value: "u64", maxEntries: 3, flags: ["rdonly_prog", "mmapable"] }],
    ["percpu_array", { value: 16, maxEntries: 5 }],
    ["queue", { value: "u32", maxEntries: 9 }],
  ] as const)("has a row for a %s: its number, type, name, sizes, memory, flags", async (type, options) => {
    using map: BpfMap = createMap({ type, name: "listed_by_test", ...options } as CreateMapOptions);
    const kernel = fdinfo(map.fd);
    expect(kernel["map_type"]).toBe(NUMBERS[type]);
    const { head, rows } = cut(await print(["map"]));
    expect(head).toEqual(["ID", "TYPE", "NAME", "KEY", "VALUE", "ENTRIES", "MEMORY", "FLAGS"]);
    expect(rows.get(kernel["map_id"] ?? "")).toEqual({
      ID: `${map.info().id}`,
      TYPE: type,
      NAME: "listed_by_test",
      KEY: kernel["key_size"],
      VALUE: kernel["value_size"],
      ENTRIES: kernel["max_entries"],
      MEMORY: kernel["memlock"],
      FLAGS: ("flags" in options ? options.flags : []).join(","),
    });
    const all = JSON.parse(await print(["map", "--json"])) as { id: number; frozen: boolean }[];
    expect(all.find(({ id }) => id === map.info().id)).toEqual(
      JSON.parse(JSON.stringify(map.info(), (_, value) => (typeof value === "bigint" ? `${value}` : value))),
    );
  });

  test("of a map that is gone there is no row", async () => {
    const map = createMap({ type: "array", name: "soon_gone", value: "u32", maxEntries: 1 });
    const { id } = map.info();
    expect(cut(await print(["map"])).rows.has(`${id}`)).toBe(true);
    map.close();
    // The kernel frees its id with the map, after the last handle.
    await expect.poll(async () => cut(await print(["map"])).rows.has(`${id}`), { timeout: 10_000 }).toBe(false);
  });
});

requires({ mapType: "ringbuf", cgroup2: true, kernel: ">=5.9" }).describe("ebpf link", () => {
  test("has a row for a link: its number, type, program, and where it is", async () => {
    const cgroup = new TestCgroup();
    try {
      const link = skeleton.programs.on_socket.attach({ cgroup: cgroup.path });
      const kernel = fdinfo(link.fd);
      expect(kernel["link_type"]).toBe("cgroup");
      const { head, rows } = cut(await print(["link", "--cgroup", cgroup.path]));
      expect(head).toEqual(["ID", "TYPE", "PROGRAM", "WHERE"]);
      expect(rows.get(kernel["link_id"] ?? "")).toEqual({
        ID: `${link.info().id}`,
        TYPE: "cgroup",
        PROGRAM: `on_socket (${kernel["prog_id"]})`,
        WHERE: `cgroupId ${kernel["cgroup_id"]}, attachType cgroup_sock_ops`,
      });
      const { links } = JSON.parse(await print(["link", "--cgroup", cgroup.path, "--json"])) as {
        links: { id: number }[];
      };
      expect(links.find(({ id }) => `${id}` === kernel["link_id"])).toEqual({
        id: link.info().id,
        programId: skeleton.programs.on_socket.info().id,
        type: "cgroup",
        cgroupId: kernel["cgroup_id"],
        attachType: "cgroup_sock_ops",
      });
    } finally {
      await cgroup.close();
    }
  });
});

suite.describe("on a terminal", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test.each(["prog", "map", "link"])("ebpf %s: the head is bold, and nothing else is otherwise", async (command) => {
    vi.stubEnv("NO_COLOR", "");
    vi.stubEnv("FORCE_COLOR", "");
    const shown = await print([command], new Text({ isTTY: true, columns: 200 }));
    const [head = "", ...rest] = shown.split("\n");
    expect(head.startsWith("\u001b[1mID ")).toBe(true);
    expect(`${head}\n${rest[0]}`).toContain("\u001b[22m");
    expect(rest.join("\n").replace("\u001b[22m", "")).not.toContain("\u001b");
    expect(head.replace("\u001b[1m", "")).toMatch(/^ID +TYPE /);

    vi.stubEnv("NO_COLOR", "1");
    expect(await print([command], new Text({ isTTY: true, columns: 200 }))).not.toContain("\u001b");
    vi.stubEnv("NO_COLOR", "");
    expect(await print([command, "--json"], new Text({ isTTY: true }))).not.toContain("\u001b");
    expect(await print([command])).not.toContain("\u001b");
  });

  test("that is narrow a row is still one line, with all there is of it", async () => {
    using map = createMap({ type: "hash", name: "in_a_narrow_one", key: "u32", value: 1000, maxEntries: 12 });
    const { id } = map.info();
    vi.stubEnv("NO_COLOR", "1");
    const row = cut(await print(["map"], new Text({ isTTY: true, columns: 20 }))).rows.get(`${id}`);
    expect(row).toMatchObject({ TYPE: "hash", NAME: "in_a_narrow_one", KEY: "4", VALUE: "1000", ENTRIES: "12" });
  });
});

describe("called wrongly", () => {
  test.each([
    [["prg"], "(Did you mean prog?)"],
    [["maps"], "(Did you mean map?)"],
    [["link", "remov", "17"], "unknown command 'remov'\n(Did you mean remove?)"],
    [["link", "17"], "unknown command '17'\n"],
    [["prog", "--jsn"], "(Did you mean --json?)"],
    [["link", "--netn", "x"], "(Did you mean --netns?)"],
    [["link", "--cgroup"], "argument missing"],
    [["link", "remove"], "missing required argument 'what'"],
    [["map", "17"], "too many arguments"],
  ])("%s: says so, names what is nearest, and is status 2", async (args, message) => {
    const stdout = new Text();
    const stderr = new Text();
    expect(await runCommand(args, { stdout, stderr })).toBe(2);
    expect(stdout.text).toBe("");
    expect(stderr.text).toMatch(/^ebpf: /);
    expect(stderr.text).toContain(message);
    expect(stderr.text).toContain("--help shows how");
    expect(stderr.text).not.toMatch(/\n\s+at /);
  });
});
