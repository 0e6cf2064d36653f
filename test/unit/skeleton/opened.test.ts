/** A skeleton that the command made, imported and opened: which object it takes. Nothing is loaded. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { BpfError } from "ebpf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommand } from "../../../lib/cli/command.js";
import type { Skeleton } from "../../fixtures/skeleton.bpf.js";

describe("a skeleton and its object belong together", { timeout: 60_000 }, () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "ebpf-skeleton-"));
    for (const file of ["skeleton.bpf.c"])
      copyFileSync(fileURLToPath(new URL(`../../fixtures/${file}`, import.meta.url)), join(folder, file));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const quiet = { stdout: { write: () => {} }, stderr: { write: () => {} } };
  let imported = 0;

  /** Builds and imports, as its user would. */
  async function build(...args: string[]): Promise<typeof Skeleton> {
    expect(
      await runCommand(
        ["build", join(folder, "skeleton.bpf.c"), "--skeleton", join(folder, `s${++imported}.ts`), ...args],
        quiet,
      ),
    ).toBe(0);
    return (
      (await import(/* @vite-ignore */ pathToFileURL(join(folder, `s${imported}.ts`)).href)) as {
        Skeleton: typeof Skeleton;
      }
    ).Skeleton;
  }

  test("the object is found beside the module, or in it", async () => {
    (await build()).open().close();
    const embedding = await build("--embed");
    rmSync(join(folder, "skeleton.bpf.o"));
    const opened = embedding.open();
    expect(opened.name).toBe("skeleton");
    expect(opened.rodata.greeting).toBe("hello");
    opened.close();
  });

  test("an object that is gone is an error that says where it should be", async () => {
    const skeleton = await build();
    rmSync(join(folder, "skeleton.bpf.o"));
    expect(() => skeleton.open()).toThrow(
      expect.objectContaining({
        code: "NOT_FOUND",
        message: expect.stringContaining(`(${join(folder, "skeleton.bpf.o")}): copy it there`),
      }),
    );
  });

  test("an object that has changed since is refused when it is opened", async () => {
    const skeleton = await build();
    skeleton.open().close();
    const source = join(folder, "skeleton.bpf.c");
    const original = readFileSync(source, "utf8");
    for (const [from, to] of [
      ["__u32 below;", "__u64 below;"],
      ["int scale = 3;", "int scales = 3;\n#define scale scales"],
      ["EVENT_LARGE }", "EVENT_MORE, EVENT_LARGE }"],
      ['SEC("sockops")', 'SEC("?sockops")\nint more(struct bpf_sock_ops *ctx) { return 1; }\nSEC("sockops")'],
    ] as const) {
      expect(original).toContain(from);
      writeFileSync(source, original.replace(from, to));
      expect(await runCommand(["build", "--no-skeleton", source], quiet)).toBe(0);
      expect(() => skeleton.open(), to).toThrow(
        expect.objectContaining({
          code: "OBJECT_INVALID",
          message: expect.stringContaining("is not the object that its skeleton (class Skeleton) was made from"),
        }),
      );
    }
    // Other code and the same interface is the same to a skeleton.
    writeFileSync(source, original.replace("stats.below++", "stats.below += 2"));
    expect(await runCommand(["build", "--no-skeleton", source], quiet)).toBe(0);
    skeleton.open().close();
  });

  test("another object in its place is refused", async () => {
    const skeleton = await build();
    copyFileSync(fileURLToPath(new URL("../../fixtures/ring.bpf.o", import.meta.url)), join(folder, "skeleton.bpf.o"));
    expect(() => skeleton.open()).toThrow(BpfError);
  });
});
