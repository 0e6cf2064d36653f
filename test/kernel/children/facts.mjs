// What features() says of this process, which was started with the rights that it is to find.
import { features } from "ebpf";

const { process: own, unprivilegedBpf, programTypes } = features();
console.log(JSON.stringify({ ...own, unprivilegedBpf, socketFilter: programTypes.socket_filter.support }));
