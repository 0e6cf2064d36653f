import { DeletableMap } from "./hash_map.js";

/**
 * BPF_MAP_TYPE_LPM_TRIE: values by prefix, found by the longest one that matches. Minimum kernel 4.11; iteration 4.16.
 *
 * Where the key's data is an IPv4 or IPv6 address (4 or 16 bytes) a key is a string: `"10.0.0.0/8"`, `"2001:db8::/32"`, or an address alone,
 * which is a prefix of full length. The kernel's struct (`{ prefixlen, ... }`) is taken too. Any other key is that struct.
 *
 * `get` and `has` look for the longest prefix that contains what is asked for, as programs do: `get("10.1.2.3")` gives what was set for
 * `"10.0.0.0/8"`. `set`, `delete` and iteration are about the prefix itself.
 *
 * @example
 * ```ts
 * import { LpmTrieMap, openMap } from "ebpf";
 * using routes = openMap("/sys/fs/bpf/routes", LpmTrieMap<string, number>);
 * routes.set("10.0.0.0/8", 1).set("10.1.0.0/16", 2);
 * console.log(routes.get("10.1.2.3"), routes.get("10.9.9.9")); // 2 1
 * ```
 */
export class LpmTrieMap<K, V> extends DeletableMap<K, V> {}
