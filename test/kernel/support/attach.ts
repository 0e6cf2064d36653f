import type { Link, LoadedObject, OpenedProgram, RingBuffer } from "ebpf";
import { expect } from "vitest";
import { AttachCgroup, type seen } from "../../fixtures/attach_cgroup.bpf.js";
import { AttachExt } from "../../fixtures/attach_ext.bpf.js";
import { AttachIter } from "../../fixtures/attach_iter.bpf.js";
import { AttachKsyscall } from "../../fixtures/attach_ksyscall.bpf.js";
import { AttachMulti } from "../../fixtures/attach_multi.bpf.js";
import { AttachNet } from "../../fixtures/attach_net.bpf.js";
import { AttachNetfilter } from "../../fixtures/attach_netfilter.bpf.js";
import { AttachRewrite } from "../../fixtures/attach_rewrite.bpf.js";
import { AttachSection } from "../../fixtures/attach_section.bpf.js";
import { AttachSock } from "../../fixtures/attach_sock.bpf.js";
import { AttachStructOps } from "../../fixtures/attach_struct_ops.bpf.js";
import { AttachStructOpsLink } from "../../fixtures/attach_struct_ops_link.bpf.js";
import { AttachTrace } from "../../fixtures/attach_trace.bpf.js";
import { AttachUsdt } from "../../fixtures/attach_usdt.bpf.js";
import { AttachUser } from "../../fixtures/attach_user.bpf.js";
import { compiled } from "./compiled.js";
import { Dialogue } from "./dialogue.js";
import { Child } from "./run.js";
import { until } from "./until.js";

/** What the programs of attach_*.bpf.c report. */
export type Seen = seen;

const FIXTURES = {
  attach_cgroup: AttachCgroup,
  attach_ext: AttachExt,
  attach_iter: AttachIter,
  attach_ksyscall: AttachKsyscall,
  attach_multi: AttachMulti,
  attach_net: AttachNet,
  attach_netfilter: AttachNetfilter,
  attach_rewrite: AttachRewrite,
  attach_section: AttachSection,
  attach_sock: AttachSock,
  attach_struct_ops: AttachStructOps,
  attach_struct_ops_link: AttachStructOpsLink,
  attach_trace: AttachTrace,
  attach_usdt: AttachUsdt,
  attach_user: AttachUser,
};
export type FixtureName = keyof typeof FIXTURES;
export type Opened<Name extends FixtureName> = ReturnType<(typeof FIXTURES)[Name]["open"]>;
export type Loaded<Name extends FixtureName> = InstanceType<(typeof FIXTURES)[Name]>;

/** All of attach_struct_ops*.bpf.c. */
export const STRUCT_OPS_PROGRAMS = [
  "ebpf_test_init",
  "ebpf_test_ssthresh",
  "ebpf_test_undo_cwnd",
  "ebpf_test_cong_avoid",
];

/** Opens a fixture with only these programs to be loaded. */
export function openOnly<Name extends FixtureName>(name: Name, programs: readonly string[]): Opened<Name> {
  const opened = FIXTURES[name].open();
  for (const program of Object.values<OpenedProgram>(opened.programs))
    program.autoload = programs.includes(program.name);
  return opened as Opened<Name>;
}

/** A loaded fixture, and what its programs have reported. */
export class Watched<Name extends FixtureName = FixtureName> implements Disposable {
  readonly object: Loaded<Name>;
  readonly seen: Seen[] = [];

  private constructor(object: Loaded<Name>) {
    this.object = object;
    this.#sightings.on("event", (record) => this.seen.push(record));
  }

  /** By name: each fixture has it, and the compiler knows each by itself. */
  get #sightings(): RingBuffer<Seen> {
    return (this.object as unknown as LoadedObject).ringBuffer<Seen>("sightings");
  }

  static async load<Name extends FixtureName>(
    name: Name,
    programs: readonly string[],
    configure: (opened: Opened<Name>) => void = () => {},
  ): Promise<Watched<Name>> {
    using opened = openOnly(name, programs);
    configure(opened);
    return new Watched<Name>((await opened.load()) as Loaded<Name>);
  }

  /** Records that the programs have made, whether they have been read or not. */
  get produced(): number {
    return this.#sightings.totals.produced ?? 0;
  }

  /** Waits until everything that was made has been read. */
  async settled(): Promise<Seen[]> {
    await until("all records", () => this.seen.length >= this.produced);
    return this.seen;
  }

  /** Waits for a record like this one, and returns it. */
  async saw(expected: Partial<Seen>): Promise<Seen> {
    const fits = (record: Seen) =>
      Object.entries(expected).every(([name, value]) => record[name as keyof Seen] === value);
    try {
      return await until("a record", () => this.seen.find(fits));
    } catch {
      return expect.fail(
        `no record like ${show(expected)} among ${this.seen.length}: ${this.seen.slice(0, 20).map(show).join("; ")}`,
      );
    }
  }

  close(): void {
    this.object.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function show(record: object): string {
  return JSON.stringify(record, (_key, value) => (typeof value === "bigint" ? Number(value) : value));
}

/** How a program is attached, what makes it run, and what it then says. */
export interface Scenario {
  readonly attach: () => Link;
  /** Makes the event happen, to its end: when it returns the program has run, if it runs at all. */
  readonly cause: () => unknown;
  readonly expected: Partial<Seen>;
}

/**
 * Nothing is seen before the program is attached; with it attached the event is seen, with the right content; and after the link is closed
 * the program runs no more. Returns the closed link.
 */
export async function runsOnlyWhileAttached(
  watched: Watched,
  { attach, cause, expected }: Scenario,
  whileAttached: (link: Link) => unknown = () => {},
): Promise<Link> {
  const before = watched.produced;
  await cause();
  expect(watched.produced, "records before the program was attached").toBe(before);
  const link = attach();
  expect(watched.object.links).toContain(link);
  await cause();
  await watched.saw(expected);
  await whileAttached(link);
  link.close();
  expect(watched.object.links).not.toContain(link);
  const after = watched.produced;
  await cause();
  expect(watched.produced, "records after the link was closed").toBe(after);
  return link;
}

/** test/fixtures/attach_child.c, compiled on first use. */
export function childBinary(): string {
  return compiled("attach_child");
}

/** A running attach_child: each call of its functions is answered. */
export class ProbedChild implements AsyncDisposable {
  readonly binary: string;
  readonly #dialogue: Dialogue;

  private constructor(binary: string, dialogue: Dialogue) {
    this.binary = binary;
    this.#dialogue = dialogue;
  }

  /** Of a copy of the binary, or of the one that all share; started by a command that ends by being it, or as it is. */
  static async start(binary = childBinary(), command: readonly [string, ...string[]] = [binary]): Promise<ProbedChild> {
    const [file, ...args] = command;
    return new ProbedChild(binary, await Dialogue.start(new Child(file, args)));
  }

  get pid(): number {
    return this.#dialogue.pid;
  }

  /** probe_add(a, 2), probe_multiply(a, 3) and the tracepoint ebpf_test:tick(a, -a), once each. */
  async call(a: number): Promise<{ readonly sum: number; readonly product: number; readonly semaphore: number }> {
    const [sum = 0, product = 0, semaphore = 0] = (await this.#dialogue.ask(String(a))).split(" ").map(Number);
    return { sum, product, semaphore };
  }

  async close(): Promise<void> {
    await this.#dialogue.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
