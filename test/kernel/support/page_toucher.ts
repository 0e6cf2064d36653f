import { compiled } from "./compiled.js";
import { Dialogue } from "./dialogue.js";
import { Child } from "./run.js";

/** A running touch_pages: as many page faults as it is told. */
export class PageToucher implements AsyncDisposable {
  readonly #dialogue: Dialogue;

  private constructor(dialogue: Dialogue) {
    this.#dialogue = dialogue;
  }

  /** Anywhere, or where `place` starts processes. */
  static async start(
    place: { spawn(command: string, args: readonly string[]): Child } = {
      spawn: (...command) => new Child(...command),
    },
  ): Promise<PageToucher> {
    const toucher = new PageToucher(await Dialogue.start(place.spawn(compiled("touch_pages"), [])));
    // What it needs for itself it has touched by now: the functions that it calls, its buffers.
    await toucher.touch(3);
    await toucher.touch(3);
    return toucher;
  }

  get pid(): number {
    return this.#dialogue.pid;
  }

  /** Touches so many pages for the first time, in their order; returns the address of the first. */
  async touch(count: number): Promise<bigint> {
    return BigInt(await this.#dialogue.ask(String(count)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dialogue.close();
  }
}
