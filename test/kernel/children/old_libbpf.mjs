// Asks for what a newer libbpf has, and prints the error as JSON.
import { BpfObject } from "ebpf";

const object = await BpfObject.load(process.argv[2]);
try {
  object.program(process.argv[3]).attachRawTracepoint("sys_enter", { cookie: 1n });
  console.log(JSON.stringify({ attached: true }));
} catch (error) {
  console.log(JSON.stringify({ name: error.name, code: error.code, message: error.message }));
}
object.close();
