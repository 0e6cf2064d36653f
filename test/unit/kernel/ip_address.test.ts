import { isIPv6, SocketAddress } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  AF_INET,
  AF_INET6,
  addressText,
  addressTextOf,
  parseAddress,
  parsePrefix,
} from "../../../lib/kernel/ip_address.js";

test.each([
  ["::", "::"],
  ["::1", "::1"],
  ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"], // the first of two runs as long (RFC 5952 4.2.3)
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"], // one group of zeros is not shortened (4.2.2)
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"], // the longer run
  ["0:0:1::2:3", "0:0:1::2:3"],
  ["::ffff:a01:203", "::ffff:10.1.2.3"], // section 5
  ["0:0:0:0:1:ffff:a01:203", "::1:ffff:a01:203"],
  ["::10.1.2.3", "::a01:203"],
  ["fe80::", "fe80::"],
  ["255.255.255.255", "255.255.255.255"],
])("%s is written %s", (text, written) => {
  expect(addressText(parseAddress(text) as Uint8Array)).toBe(written);
});

test.each(["", "10.0.0", "10.0.0.256", "01.2.3.4", "fe80::1%eth0", ":::", "1:2:3", "g::"])(
  "%j is no address",
  (text) => {
    expect(parseAddress(text)).toBeUndefined();
  },
);

test.each([
  ["10.0.0.0/8", 4, 8],
  ["10.0.0.1", 4, 32],
  ["10.0.0.1/0", 4, 0],
  ["fd00::/128", 16, 128],
  ["10.0.0.0/33", 4, undefined],
  ["fd00::/8/24", 16, undefined],
  ["10.0.0.0/", 4, undefined],
  ["10.0.0.0/-1", 4, undefined],
])("%j is an address of %d bytes, %s of its bits", (text, bytes, length) => {
  const prefix = parsePrefix(text);
  expect([prefix?.address.length, prefix?.length]).toEqual([bytes, length]);
});

test.each(["/8", "10/8", "10.0.0.0 /8", ""])("%j is no prefix", (text) => {
  expect(parsePrefix(text)).toBeUndefined();
});

const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
const ipv6 = fc.oneof(
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  // Mostly zeros, so that runs of all lengths and places are met.
  fc.array(fc.constantFrom(0, 0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 }).map((all) => Uint8Array.from(all)),
  // Those that map IPv4, and those that look like it.
  fc
    .tuple(fc.constantFrom(0, 0, 0, 1), fc.constantFrom(255, 255, 0), ipv4)
    .map(([one, mark, rest]) => Uint8Array.from([...new Array(9).fill(0), one, mark, 255, ...rest])),
);
const RUNS = { numRuns: 2000 };

test("any address survives being written and read", () => {
  fc.assert(
    fc.property(fc.oneof(ipv4, ipv6), (address) => {
      expect(parseAddress(addressText(address))).toEqual(address);
    }),
    RUNS,
  );
});

test("IPv6 is written as node:net writes it, and read as node:net reads it", () => {
  const canonical = (text: string) => new SocketAddress({ address: text, family: "ipv6" }).address;
  /** inet_ntop also writes what was once "IPv4-compatible" with dots, which RFC 5952 does not ask for. */
  const compatible = (address: Uint8Array) =>
    address.subarray(0, 12).every((byte) => byte === 0) && (address[12] !== 0 || address[13] !== 0);
  fc.assert(
    fc.property(ipv6, fc.boolean(), (address, upper) => {
      const text = addressText(address);
      expect(isIPv6(text)).toBe(true);
      if (!compatible(address)) expect(text).toBe(canonical(text));
      // The longest way to write it.
      const long = Array.from({ length: 8 }, (_, i) => Buffer.from(address.subarray(i * 2, i * 2 + 2)).toString("hex"));
      const written = upper ? long.join(":").toUpperCase() : long.join(":");
      if (!compatible(address)) expect(text).toBe(canonical(written));
      expect(parseAddress(written)).toEqual(address);
      expect(parseAddress(canonical(written))).toEqual(address);
    }),
    RUNS,
  );
});

test("IPv4 is written as node:net writes it", () => {
  fc.assert(
    fc.property(ipv4, (address) => {
      const text = addressText(address);
      expect(text).toBe(new SocketAddress({ address: text, family: "ipv4" }).address);
    }),
    RUNS,
  );
});

test("a field with room for both is read by its family", () => {
  const bytes = Uint8Array.of(10, 99, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  expect(addressTextOf(AF_INET, bytes)).toBe("10.99.0.255");
  expect(addressTextOf(AF_INET6, bytes)).toBe("a63:ff::1");
  expect(addressTextOf(0, bytes)).toBeUndefined();
});
