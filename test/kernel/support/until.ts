import { setTimeout as delay } from "node:timers/promises";

/** Long enough never to matter, where every instruction is emulated too. */
const DEADLINE_MS = process.env["EBPF_VM"] === undefined ? 30_000 : 120_000;

/** Waits until `condition` holds (is neither false nor undefined) and returns what it gave; fails, saying `what`, at the deadline. */
export async function until<T>(
  what: string,
  condition: () => T | false | undefined | Promise<T | false | undefined>,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const got = await condition();
    if (got !== false && got !== undefined) return got;
    if (performance.now() > deadline) throw new Error(`waited ${deadlineMs} ms in vain for ${what}`);
    await delay(2);
  }
}
