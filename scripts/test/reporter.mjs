/**
 * Vitest reporter: lists every skipped test with its reason, so that a summary of green never hides what did not run,
 * and hands the counts and the names of what failed to scripts/test.mjs through the file that EBPF_TEST_COUNTS names.
 */
import { appendFileSync } from "node:fs";

/** What `requires` (test/kernel/support/requires.ts) puts into a suite's name, as suites carry no note; so do others. */
const REASON_IN_NAME = / [[(]skipped: (.+?)[\])]/;

/** After how long a test that is not done is named, so that a run which never ends says where it was. */
const SLOW_MS = 30_000;

/** Characters of an error's first line in the list of what failed. */
const MAX_CAUSE = 300;

export default class Reporter {
  #filtered = false;
  /** @type {Map<string, number>} what runs, and since when */
  #running = new Map();
  #watch = setInterval(() => this.#nameSlow(), SLOW_MS).unref();

  #nameSlow() {
    for (const [name, began] of this.#running) {
      const seconds = Math.round((performance.now() - began) / 1000);
      if (seconds * 1000 >= SLOW_MS) console.log(`not done after ${seconds} s: ${name}`);
    }
  }

  // A test that blocks its process keeps the news of its own start from getting out; that of its file came before.
  /** @param {import("vitest/node").TestModule} module */
  onTestModuleQueued(module) {
    this.#running.set(module.relativeModuleId, performance.now());
  }

  /** @param {import("vitest/node").TestModule} module */
  onTestModuleEnd(module) {
    // Also its tests: what is skipped at once may have been announced after its result.
    for (const name of this.#running.keys()) if (name.startsWith(module.relativeModuleId)) this.#running.delete(name);
  }

  /** @param {import("vitest/node").TestCase} test */
  onTestCaseReady(test) {
    this.#running.set(`${test.module.relativeModuleId} > ${test.fullName}`, performance.now());
  }

  /** @param {import("vitest/node").TestCase} test */
  onTestCaseResult(test) {
    this.#running.delete(`${test.module.relativeModuleId} > ${test.fullName}`);
  }

  /** @param {import("vitest/node").Vitest} vitest */
  onInit(vitest) {
    // With `-t name` most tests are left out, and nobody asks why.
    this.#filtered = vitest.config.testNamePattern !== undefined;
  }

  /** @param {readonly import("vitest/node").TestModule[]} modules */
  onTestRunEnd(modules, errors) {
    clearInterval(this.#watch);
    const counts = { passed: 0, failed: 0, skipped: 0, unexplained: 0 };
    /** @type {string[]} */
    const failures = [];
    /** @type {string[]} */
    const retried = [];
    const fail = (/** @type {string} */ name, /** @type {readonly { message: string }[] | undefined} */ causes) => {
      counts.failed += 1;
      failures.push(`${name}: ${causes?.[0]?.message.split("\n", 1)[0]?.slice(0, MAX_CAUSE) ?? "no message"}`);
    };
    /** @type {Map<string, string[]>} */
    const skips = new Map();
    for (const module of modules) {
      // A file that could not be collected has no tests to count, and is a failure all the same.
      if (module.state() === "failed" && [...module.children.allTests("failed")].length === 0)
        fail(module.relativeModuleId, module.errors());
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === "passed") {
          counts.passed += 1;
          if ((test.diagnostic()?.retryCount ?? 0) > 0) retried.push(`${module.relativeModuleId} > ${test.fullName}`);
        } else if (result.state === "failed") fail(`${module.relativeModuleId} > ${test.fullName}`, result.errors);
        else {
          const known = result.note ?? REASON_IN_NAME.exec(test.fullName)?.[1];
          if (known === undefined && this.#filtered) continue;
          counts.skipped += 1;
          if (known === undefined) counts.unexplained += 1;
          const reason = known ?? "no reason given";
          const name = `${module.relativeModuleId} > ${test.fullName.replace(REASON_IN_NAME, "")}`;
          skips.set(reason, [...(skips.get(reason) ?? []), name]);
        }
      }
    }
    for (const error of errors) fail("outside any test", [error]);
    if (retried.length > 0) console.log("\npassed at the second try only:");
    for (const name of retried) console.log(`  - ${name}`);
    for (const [reason, names] of skips) {
      console.log(`\nskipped: ${reason}`);
      for (const name of names) console.log(`  - ${name}`);
    }
    const file = process.env["EBPF_TEST_COUNTS"];
    if (file !== undefined) appendFileSync(file, `${JSON.stringify({ ...counts, failures })}\n`);
  }
}
