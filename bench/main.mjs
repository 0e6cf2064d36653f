#!/usr/bin/env node
/**
 * npm run bench                what a record costs its consumer, in about ten seconds
 * npm run bench -- ring        all of the stream benches
 * npm run bench -- maps        what map operations cost, against the same loops in C
 * npm run bench -- btf         what one lookup in the kernel's types costs
 *
 *   --only NAME      one of the suite's benches, by the name that --json gives it: latency, flat-out, ...
 *   --rounds N       rounds per case (default 15)
 *   --json [file]    the results as JSON, on standard output or into a file
 *
 * Figures of one run compare with each other: every case runs on the same machine, in the same process, most of them in turns (docs/performance.md).
 */
import { writeFileSync } from "node:fs";
import { arch, availableParallelism, cpus, loadavg, release } from "node:os";
import { figure, table } from "./table.mjs";

function usage(problem) {
  console.error(
    `bench: ${problem}\nusage: npm run bench -- [drain|ring|maps|btf] [--only NAME] [--rounds N] [--json [file]]`,
  );
  process.exit(2);
}

function parse(args) {
  const options = { suite: "drain", only: undefined, rounds: 15, json: undefined };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--rounds") {
      options.rounds = Number(args[++i]);
      if (!Number.isInteger(options.rounds) || options.rounds < 1) usage("--rounds wants a whole number from 1");
    } else if (arg === "--only") options.only = args[++i] ?? usage("--only wants a name");
    else if (arg === "--json")
      options.json = args[i + 1] !== undefined && !args[i + 1].startsWith("-") ? args[++i] : "-";
    else if (arg.startsWith("-")) usage(`unknown option ${arg}`);
    else if (arg === "drain" || arg === "ring" || arg === "maps" || arg === "btf") options.suite = arg;
    else usage(`there is no bench "${arg}"`);
  }
  return options;
}

async function main() {
  const options = parse(process.argv.slice(2));
  if (process.geteuid() !== 0) usage("BPF needs root");
  const context = { rounds: options.rounds };
  const { suites } = await import(`./${options.suite === "drain" ? "ring" : options.suite}/suites.mjs`);
  const machine = {
    node: process.version,
    kernel: release(),
    arch: arch(),
    cpu: cpus()[0]?.model,
    cores: availableParallelism(),
    // What else it had to do: latencies and losses are also those of the scheduler.
    load: loadavg()[0],
  };
  const quiet = options.json === "-";
  if (!quiet)
    console.log(
      `node ${machine.node}, Linux ${machine.kernel}, ${machine.cores} x ${machine.cpu}, load ${figure(machine.load)}`,
    );
  const results = [];
  const chosen = suites(options.suite).filter(({ name }) => options.only === undefined || name === options.only);
  if (chosen.length === 0) usage(`there is no bench "${options.only}" in ${options.suite}`);
  for (const { name, title, run } of chosen) {
    const began = performance.now();
    const result = await run(context);
    results.push({ bench: name, title, ...result });
    if (quiet) continue;
    console.log(`\n${title}  (${((performance.now() - began) / 1000).toFixed(1)} s)`);
    console.log(
      table(
        result.columns.map(({ heading }) => heading),
        result.rows.map((row) =>
          result.columns.map(({ key }) => (typeof row[key] === "number" ? figure(row[key]) : (row[key] ?? ""))),
        ),
      ),
    );
    for (const note of result.notes ?? []) console.log(note);
  }
  const document = JSON.stringify({ machine, date: new Date().toISOString(), results }, null, 2);
  if (quiet) console.log(document);
  else if (options.json !== undefined) writeFileSync(options.json, `${document}\n`);
  for (const { heading, value, reach, met } of results.flatMap(({ targets }) => targets ?? [])) {
    if (!quiet) console.log(`${met ? "reached" : "MISSED "}  ${heading}: ${value} (${reach})`);
  }
}

await main();
