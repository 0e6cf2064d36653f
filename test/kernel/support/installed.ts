/** The package as its users get it: packed, and installed by npm in a folder of its own. */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
}

function manifestOf(name: string): Manifest {
  return JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8")) as Manifest;
}

/** What the package needs at run time, and what that needs. */
function dependencies(): string[] {
  const found = new Set<string>();
  const add = ({ dependencies: named = {} }: Manifest) => {
    for (const name of Object.keys(named)) {
      if (found.has(name)) continue;
      found.add(name);
      add(manifestOf(name));
    }
  };
  add(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest);
  return [...found];
}

/** Where every instruction is emulated npm takes minutes, and tells nothing new: there the package is linked, as it lies here. */
const linked = process.env["EBPF_VM"] !== undefined;

/** A folder of a user's. */
export class Installation implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "ebpf-installed-"));

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A command, as one types it: by name, found on the PATH. */
  run(program: string, ...args: string[]): SpawnSyncReturns<string> {
    // Of npm's own environment, in which tests may run, npx would look into this project.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm|node)_/i.test(name)));
    const bin = join(this.folder, "node_modules/.bin", args[0] ?? "");
    const [file, ...rest] =
      linked && program === "npx" ? [process.execPath, realpathSync(bin), ...args.slice(1)] : [program, ...args];
    return spawnSync(file, rest, { cwd: this.folder, env, encoding: "utf8" });
  }

  /** Its output, once it ended well. */
  output(program: string, ...args: string[]): string {
    const { status, stdout, stderr, error } = this.run(program, ...args);
    if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? status}: ${stderr}${stdout}`);
    return stdout;
  }

  /** What makes the folder a package: `npm init` and what follows it. */
  init(...commands: readonly string[]): void {
    if (linked) writeFileSync(join(this.folder, "package.json"), '{ "type": "module" }\n');
    else for (const command of commands) this.output("sh", "-c", command);
  }

  /** `npm install ebpf`, without a registry: the packed package, and its dependencies packed likewise. */
  install(): void {
    if (linked) {
      this.#link("ebpf", ROOT);
      this.#link(".bin/ebpf", join(ROOT, "dist/cli/main.js"));
      return;
    }
    const sources = [ROOT, ...dependencies().map((name) => join(ROOT, "node_modules", name))];
    const packed = this.output("npm", "pack", "--json", "--ignore-scripts", ...sources);
    const files = (JSON.parse(packed) as { readonly filename: string }[]).map(({ filename }) => `./${filename}`);
    this.output("npm", "install", "--offline", "--no-audit", "--no-fund", ...files);
  }

  /** `npm install typescript @types/node`: links to this project's. */
  installTypeScript(): void {
    for (const name of ["typescript", "@types/node", ".bin/tsc"]) this.#link(name, join(ROOT, "node_modules", name));
  }

  #link(name: string, target: string): void {
    const path = join(this.folder, "node_modules", name);
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(target, path);
  }
}
