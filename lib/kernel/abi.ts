/** Numbers of the kernel's BPF ABI (include/uapi/linux/bpf.h). They never change; this is their one place in the library. */

export const MapType = {
  hash: 1,
  array: 2,
  progArray: 3,
  perfEventArray: 4,
  perCpuHash: 5,
  perCpuArray: 6,
  stackTrace: 7,
  cgroupArray: 8,
  lruHash: 9,
  lruPerCpuHash: 10,
  lpmTrie: 11,
  arrayOfMaps: 12,
  hashOfMaps: 13,
  devmap: 14,
  sockmap: 15,
  cpumap: 16,
  xskmap: 17,
  sockhash: 18,
  cgroupStorage: 19,
  reuseportSockarray: 20,
  perCpuCgroupStorage: 21,
  queue: 22,
  stack: 23,
  skStorage: 24,
  devmapHash: 25,
  structOps: 26,
  ringbuf: 27,
  inodeStorage: 28,
  taskStorage: 29,
  bloomFilter: 30,
  userRingbuf: 31,
  cgrpStorage: 32,
  arena: 33,
} as const;

export const ProgramType = {
  socketFilter: 1,
  kprobe: 2,
  schedCls: 3,
  schedAct: 4,
  tracepoint: 5,
  xdp: 6,
  perfEvent: 7,
  cgroupSkb: 8,
  cgroupSock: 9,
  lwtIn: 10,
  lwtOut: 11,
  lwtXmit: 12,
  sockOps: 13,
  skSkb: 14,
  cgroupDevice: 15,
  skMsg: 16,
  rawTracepoint: 17,
  cgroupSockAddr: 18,
  lwtSeg6local: 19,
  lircMode2: 20,
  skReuseport: 21,
  flowDissector: 22,
  cgroupSysctl: 23,
  rawTracepointWritable: 24,
  cgroupSockopt: 25,
  tracing: 26,
  structOps: 27,
  ext: 28,
  lsm: 29,
  skLookup: 30,
  syscall: 31,
  netfilter: 32,
} as const;

/** enum bpf_attach_type, those the library names itself. */
export const AttachType = {
  cgroupSockOps: 3,
  traceRawTp: 23,
  traceFentry: 24,
  traceFexit: 25,
  modifyReturn: 26,
  traceIter: 28,
} as const;

/** Flags of BPF_MAP_UPDATE_ELEM and BPF_MAP_LOOKUP_ELEM. */
export const MapFlag = {
  any: 0,
  noExist: 1,
  exist: 2,
  lock: 4,
} as const;

/** ENOTSUPP: the kernel's own, never meant for user space, and yet returned by bpf(2); strerror does not know it. */
export const ENOTSUPP = 524;
