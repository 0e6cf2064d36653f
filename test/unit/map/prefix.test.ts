import { isIPv6 } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { formatAddress, parseAddress } from "../../../lib/map/prefix.js";

test.each([
  ["::", "::"],
  ["::1", "::1"],
  ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"], // the first of two runs as long (RFC 5952 4.2.3)
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"], // one group of zeros is not shortened (4.2.2)
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"], // the longer run
  ["::ffff:10.1.2.3", "::ffff:a01:203"],
  ["fe80::", "fe80::"],
  ["255.255.255.255", "255.255.255.255"],
])("%s is written %s", (text, written) => {
  expect(formatAddress(parseAddress(text) as Uint8Array)).toBe(written);
});

test.each(["", "10.0.0", "10.0.0.256", "01.2.3.4", "fe80::1%eth0", ":::", "1:2:3", "g::"])(
  "%j is no address",
  (text) => {
    expect(parseAddress(text)).toBeUndefined();
  },
);

test("any address survives being written and read", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    // Mostly zeros, so that runs of all lengths and places are met.
    fc.array(fc.constantFrom(0, 0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 }).map((all) => Uint8Array.from(all)),
  );
  fc.assert(
    fc.property(bytes, (address) => {
      const text = formatAddress(address);
      if (address.length === 16) expect(isIPv6(text)).toBe(true);
      expect(parseAddress(text)).toEqual(address);
    }),
  );
});
