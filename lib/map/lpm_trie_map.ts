import { BpfError } from "../errors.js";
import { MapFlag, MapType } from "../kernel/abi.js";
import { native } from "../native.js";
import { DeletableMap } from "./hash_map.js";
import { MAP_CREATE_FLAGS } from "./map_info.js";

/**
 * BPF_MAP_TYPE_LPM_TRIE: values by prefix, found by the longest one that matches. Minimum kernel 4.11; iteration 4.16.
 *
 * Where the key's data is an IPv4 or IPv6 address (4 or 16 bytes) a key is a string: `"10.0.0.0/8"`, `"2001:db8::/32"`, or an address alone,
 * which is a prefix of full length. The kernel's struct (`{ prefixlen, ... }`) is taken too. Any other key is that struct.
 *
 * `get` and `has` look for the longest prefix that contains what is asked for, as programs do: `get("10.1.2.3")` gives what was set for
 * `"10.0.0.0/8"`. `set`, `delete` and iteration are about the prefix itself. The option `only` of `set` is refused on kernels
 * that ignore it in tries, as those before 6.13 do (older series have it from late 2024 on).
 *
 * @example
 * ```ts
 * import { LpmTrieMap, openMap } from "ebpf";
 * using routes = openMap("/sys/fs/bpf/routes", LpmTrieMap<string, number>);
 * routes.set("10.0.0.0/8", 1).set("10.1.0.0/16", 2);
 * console.log(routes.get("10.1.2.3"), routes.get("10.9.9.9")); // 2 1
 * ```
 */
export class LpmTrieMap<K, V> extends DeletableMap<K, V> {
  /** @internal */
  protected override checkOnly(operation: string): void {
    if (heedsOnly()) return;
    throw new BpfError({
      code: "KERNEL_UNSUPPORTED",
      message: `${operation}: this kernel ignores the option "only" in tries and would set the prefix all the same; 6.13 and newer heed it`,
    });
  }
}

let heeded: boolean | undefined;

/** Whether a trie heeds BPF_EXIST: kernel/bpf/lpm_trie.c does since commit eae6a075e953, which went to stable kernels too, so it is tried. */
function heedsOnly(): boolean {
  if (heeded !== undefined) return heeded;
  const shape = { type: MapType.lpmTrie, name: "", keySize: 8, valueSize: 4, maxEntries: 1 };
  let trie: ReturnType<ReturnType<typeof native>["mapCreate"]>;
  try {
    trie = native().mapCreate({ ...shape, flags: MAP_CREATE_FLAGS.no_prealloc });
  } catch {
    // Who was given a trie and may make none cannot try. Not kept: privileges can come.
    return true;
  }
  try {
    trie.bind(new ArrayBuffer(8), new ArrayBuffer(8), new ArrayBuffer(4));
    // There is nothing to replace.
    heeded = trie.update(MapFlag.exist) !== 0;
    return heeded;
  } finally {
    trie.close();
  }
}
