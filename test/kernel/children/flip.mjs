// Runs a program, given by its id, until it is killed.
import { ProgramHandle } from "ebpf";

const program = ProgramHandle.fromId(Number(process.argv[2]));
for (;;) program.testRun({ data: new Uint8Array(64), repeat: 10_000 });
