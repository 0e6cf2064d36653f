import { type FSWatcher, watch as watchFolder } from "node:fs";
import { basename, dirname, relative, resolve } from "node:path";

export interface Changes {
  /** More files to watch. */
  add(files: readonly string[]): void;
  /** The first of the files that changes, or changed since the watch began; undefined when the signal aborts. Ends the watch. */
  next(): Promise<string | undefined>;
}

/** Editors write a file in several steps, or another in its place; what comes within this time is one change. */
const SETTLE_MS = 50;

/** Watches files by their folders: an editor that writes a new file and renames it leaves a watch on the old one. */
export function watch(files: readonly string[], signal?: AbortSignal | undefined): Changes {
  const watchers = new Map<string, FSWatcher>();
  const names = new Map<string, Set<string>>();
  let changed: string | undefined;
  let notify = () => {};
  const add = (more: readonly string[]) => {
    for (const file of more) {
      const folder = dirname(resolve(file));
      let known = names.get(folder);
      if (known === undefined) {
        known = new Set();
        names.set(folder, known);
        watchers.set(
          folder,
          watchFolder(folder, (_event, name) => {
            if (changed !== undefined || name === null || !names.get(folder)?.has(name)) return;
            changed = relative(".", resolve(folder, name));
            notify();
          }),
        );
      }
      known.add(basename(file));
    }
  };
  add(files);
  return {
    add,
    next: () =>
      new Promise((settle) => {
        const end = (result: string | undefined) => {
          signal?.removeEventListener("abort", abort);
          for (const watcher of watchers.values()) watcher.close();
          settle(result);
        };
        const abort = () => end(undefined);
        notify = () => setTimeout(() => end(changed), SETTLE_MS);
        if (signal?.aborted) return abort();
        signal?.addEventListener("abort", abort, { once: true });
        if (changed !== undefined) notify();
      }),
  };
}
