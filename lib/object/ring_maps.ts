/** Maps of rings: streams over rings that come and go. */
import { inspect } from "node:util";
import { checkReader, threadOf } from "../events/reader_choice.js";
import { RingBuffer } from "../events/ring_buffer.js";
import { RingBuffers } from "../events/ring_buffers.js";
import { createMap } from "../map/create_map.js";
import type { MapOfMaps } from "../map/map_of_maps.js";
import { invalid } from "../options.js";
import type { ObjectCore } from "./core.js";
import { declaredRings, RINGS_SECTION } from "./ring_declarations.js";
import { RingEntries } from "./ring_entries.js";
import { ringWakeup } from "./ring_wakeup.js";
import { makeSource, type RingOptions, recordType } from "./rings.js";
import { sectionWord } from "./section_word.js";
import { chosen } from "./stream_choices.js";

const DEFAULT_BYTES = 256 * 1024;

/** `open` makes a handle of one of the object's maps. */
export function makeRingBuffers<K, T>(
  core: ObjectCore,
  name: string,
  options: RingOptions<T>,
  open: (name: string) => unknown,
): RingBuffers<K, T> {
  const declaration = declaredRings(core, name);
  const type = recordType(core, name, declaration?.recordType, options.type);
  const { wakeup, live } = ringWakeup(core, name);
  const reader = checkReader(name, options.reader ?? chosen(core, name).reader ?? "loop");
  // Before there is a ring that cannot be read.
  threadOf(name, reader, wakeup);
  const rings = open(name) as MapOfMaps<K>;
  const entries = declaration === undefined ? undefined : new RingEntries<K>(core, name, rings, open);
  const word = (offset: number): number => Number(sectionWord(core, RINGS_SECTION, offset).get());
  const stream = (key: K, gone: () => void): RingBuffer<T> | undefined => {
    const map = rings.get(key);
    if (map === undefined) return undefined;
    if (map.type !== "ringbuf") {
      map.close();
      throw invalid(`${name}: the maps in it are ${map.type}s, not ring buffers`);
    }
    const label = `${name}[${inspect(key, { breakLength: Number.POSITIVE_INFINITY })}]`;
    const { id } = map.info();
    const setWakeup = (value: bigint) => entries?.setWakeup(key, id, value);
    const release = (read: number) => {
      map.close();
      entries?.released(id, read);
      gone();
    };
    return new RingBuffer<T>(
      makeSource(
        core,
        type,
        { ...options, reader },
        {
          name: label,
          label: `ring ${label}`,
          counters: entries?.counters(key, id),
          wakeup: { wakeup, set: live ? setWakeup : undefined },
          fd: () => map.fd,
          release,
        },
      ),
    );
  };
  return new RingBuffers<K, T>({
    name,
    wakeup,
    reader,
    rings,
    stream,
    add: (key, bytes) => {
      const size = bytes ?? (declaration === undefined ? DEFAULT_BYTES : word(declaration.bytesOffset));
      using ring = createMap({ type: "ringbuf", name: name.slice(0, 15), maxEntries: size });
      entries?.reset(key);
      rings.set(key, ring);
    },
    removed: (key, id, streamed) => entries?.removed(key, id, streamed),
    close: () => {
      rings.close();
      entries?.close();
    },
    unrouted: declaration === undefined ? undefined : () => word(declaration.unroutedOffset),
  });
}
