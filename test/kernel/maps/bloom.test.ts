import { BloomFilterMap } from "ebpf";
import { expect } from "vitest";
import { MapsBloom } from "../../fixtures/maps_bloom.bpf.js";
import { requires } from "../support/requires.js";

requires({ mapType: "bloomFilter" }).test(
  "bloom filter: what we add a program finds, and the other way round",
  async () => {
    using object = await MapsBloom.load();
    const seen = object.maps.seen;
    expect(seen).toBeInstanceOf(BloomFilterMap);
    const visit = (add: boolean, subject: { ip: number; port: number; zone: number }) => {
      object.bss.subject = subject;
      object.bss.add = add ? 1 : 0;
      object.programs.visit.testRun({ data: new Uint8Array(64) });
      return object.bss.result;
    };
    const address = (ip: number) => ({ ip, port: 443, zone: 1 });
    expect(visit(false, address(1))).toBe(-2); // -ENOENT
    seen.add(address(1));
    expect(visit(false, address(1))).toBe(0);
    expect(visit(true, address(2))).toBe(0);
    expect(seen.mightContain(address(2))).toBe(true);
    expect(seen.mightContain(address(3))).toBe(false);
    for (let ip = 0; ip < 1000; ip++) seen.add(address(ip));
    for (let ip = 0; ip < 1000; ip++) expect(seen.mightContain(address(ip))).toBe(true);
    let wrong = 0;
    for (let ip = 1_000_000; ip < 1_010_000; ip++) if (seen.mightContain(address(ip))) wrong++;
    expect(wrong).toBeLessThan(2_000); // sized for as many, with 3 hash functions: about one in eight at the very most
    expect(seen.info().extra).toBe(3n);
    expect(() => seen.add({ ip: 1, port: 1 } as never)).toThrowError("seen value .zone: missing (expected number)");
    const { peers } = object.maps;
    peers.add({ v4: 0x7f000001, port: 80 });
    expect(peers.mightContain({ v4: 0x7f000001, port: 80 })).toBe(true);
    expect(peers.mightContain({ v6: Uint8Array.of(127, 0, 0, 1, ...new Uint8Array(12)), port: 80 })).toBe(true);
    expect(peers.mightContain({ v4: 0x7f000001, port: 81 })).toBe(false);
    expect("delete" in seen).toBe(false);
  },
);
