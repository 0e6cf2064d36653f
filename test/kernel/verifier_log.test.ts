import { BpfObject, VerifierError } from "ebpf";
import { describe, expect } from "vitest";
import { openOnly } from "./support/attach.js";
import { nothingStaysOpen } from "./support/descriptors.js";
import { errorOf } from "./support/errors.js";
import { fixture } from "./support/fixture.js";
import { requires } from "./support/requires.js";

nothingStaysOpen();

const { test } = requires({});

describe("the verifier's log of a program that loads", () => {
  test("is there for the programs whose level asked for it", async () => {
    using opened = openOnly("attach_cgroup", ["on_connect4", "on_connect6", "on_bind4"]);
    opened.programs.on_connect4.logLevel = 4;
    opened.programs.on_connect6.logLevel = 2;
    using object = await opened.load();
    const { on_connect4, on_connect6, on_bind4, on_bind6 } = object.programs;
    const statistics = on_connect4.verifierLog ?? "";
    const path = on_connect6.verifierLog ?? "";
    expect(statistics).toMatch(/^processed \d+ insns \(limit \d+\)/m);
    // Statistics alone do not list instructions; the path does, with the lines of C they come from.
    expect(statistics).not.toMatch(/^\d+: \(/m);
    expect(path).toMatch(/^0: /m);
    expect(path).toMatch(/^; .*SOCK_ADDR.*on_connect6/m);
    expect(path).toMatch(/^processed \d+ insns/m);
    expect(on_bind4.verifierLog).toBeUndefined();
    expect(on_bind6.verifierLog).toBeUndefined();
    object.close();
    expect(on_connect4.verifierLog).toBe(statistics);
  });

  test("of all programs, by an option of open", async () => {
    using object = await BpfObject.load(fixture("ring"), { logLevel: 4 });
    const logs = Object.values(object.programs).map(({ verifierLog }) => verifierLog);
    expect(logs.length).toBeGreaterThan(0);
    for (const log of logs) expect(log).toMatch(/^processed \d+ insns/m);
  });

  test("that of a rejected program is not mistaken for one that loaded before it", async () => {
    const error = await errorOf(() => BpfObject.load(fixture("reject"), { logLevel: 4 }));
    expect(error).toBeInstanceOf(VerifierError);
    expect((error as VerifierError).program).toMatch(/reject/);
    expect((error as VerifierError).reason).toMatch(/invalid/);
  });
});
