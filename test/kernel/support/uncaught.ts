/** Keeps what handlers throw until the end of the scope: the test runner's own handler would end the run. */
export class Uncaught implements Disposable {
  readonly errors: Error[] = [];
  readonly #others = process.listeners("uncaughtException");
  readonly #collect = (error: Error) => void this.errors.push(error);

  constructor() {
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", this.#collect);
  }

  get messages(): string[] {
    return this.errors.map(({ message }) => message);
  }

  [Symbol.dispose](): void {
    process.off("uncaughtException", this.#collect);
    for (const other of this.#others) process.on("uncaughtException", other);
  }
}
