// Sets and deletes entries of a map, other than its first `stay`, until it is killed; counts in another map how often.
import { mapById } from "ebpf";

const [map, progress] = [mapById(Number(process.argv[2])), mapById(Number(process.argv[3]))];
const [type, stay] = [process.argv[4], Number(process.argv[5])];
const key = (i) => (type === "lpm_trie" ? `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32` : i);
// An LRU map makes room by itself, of what was not used for longest: let there be no need.
const others = stay;
for (let i = 0; ; i++) {
  map.set(key(stay + (i % others)), stay + i);
  map.delete(key(stay + ((i * 7919) % others)));
  if (i % 16 === 0) progress.set(0, BigInt(i));
}
