// Loads an object as a user who may nothing, and prints the error as JSON.
import { BpfObject } from "ebpf";

// The addon is loaded, and the file read, before the rights are gone: it is bpf(2) that is to refuse.
const opened = BpfObject.open(process.argv[2]);
process.setgroups([]);
process.setgid(65534);
process.setuid(65534);
try {
  await opened.load();
  console.log(JSON.stringify({ loaded: true }));
} catch (error) {
  console.log(JSON.stringify({ name: error.name, code: error.code, errno: error.errno, message: error.message }));
}
