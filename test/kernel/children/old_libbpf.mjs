// Asks for what a newer libbpf has, and prints the errors as JSON.
import { BpfObject } from "ebpf";

const [rawTracepoint, program, arena] = process.argv.slice(2);
const told = [];
/** @param {() => unknown} use */
function tell(use) {
  try {
    use();
    told.push({ done: true });
  } catch (error) {
    told.push({ name: error.name, code: error.code, message: error.message });
  }
}

const object = await BpfObject.load(rawTracepoint);
tell(() => object.program(program).attachRawTracepoint("sys_enter", { cookie: 1n }));
object.close();
tell(() => BpfObject.open(arena));
console.log(JSON.stringify(told));
