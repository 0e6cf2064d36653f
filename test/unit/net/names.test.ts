import { describe, expect, test } from "vitest";
import { addressText, ipText, ipv4Number, ipv4Text, ipv6Text } from "../../../lib/net/address.js";
import {
  familyName,
  hookName,
  hookNumber,
  PROTOCOL_NAMES,
  protocolName,
  protocolNumber,
} from "../../../lib/net/names.js";

const v6 = (...groups: number[]) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));

describe("addresses", () => {
  test.each([
    [v6(0, 0, 0, 0, 0, 0, 0, 0), "::"],
    [v6(0, 0, 0, 0, 0, 0, 0, 1), "::1"],
    [v6(0xfe80, 0, 0, 0, 0, 0, 0, 0), "fe80::"],
    [v6(0x2001, 0xdb8, 0, 0, 1, 0, 0, 1), "2001:db8::1:0:0:1"],
    [v6(0x2001, 0xdb8, 0, 1, 1, 1, 1, 1), "2001:db8:0:1:1:1:1:1"],
    [v6(0, 0, 1, 0, 0, 0, 2, 3), "0:0:1::2:3"],
    [v6(0, 0, 0, 0, 0, 0xffff, 0x7f00, 1), "::ffff:127.0.0.1"],
    [v6(1, 2, 3, 4, 5, 6, 7, 8), "1:2:3:4:5:6:7:8"],
  ])("%j is %s", (bytes, text) => {
    expect(ipv6Text(bytes)).toBe(text);
  });

  test("as they arrive from a program, and back", () => {
    expect(ipText(0xffffff01)).toBe("255.255.255.1");
    expect(ipText(0)).toBe("0.0.0.0");
    expect(ipText(Uint8Array.of(10, 0, 0, 1))).toBe("10.0.0.1");
    expect(ipText(v6(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))).toBe("2001:db8::1");
    expect(ipv4Number("255.255.255.1")).toBe(0xffffff01);
    expect(() => ipText(2 ** 32)).toThrow("ipText: expected a number from 0 to 4294967295, or bytes, got 4294967296");
    expect(() => ipText(new Uint8Array(5))).toThrow("ipText: expected 4 or 16 bytes, got ");
    expect(() => ipv4Number("10.0.0")).toThrow('ipv4Number: expected an IPv4 address, got "10.0.0"');
  });

  test("IPv4, and what has no address", () => {
    expect(ipv4Text(Uint8Array.of(10, 99, 0, 255))).toBe("10.99.0.255");
    expect(addressText(2, Uint8Array.of(1, 2, 3, 4, 9, 9))).toBe("1.2.3.4");
    expect(addressText(0, new Uint8Array(16))).toBeUndefined();
  });
});

describe("names", () => {
  test("hooks by family", () => {
    expect([0, 1, 2, 3, 4].map((hook) => hookName(2, hook))).toEqual([
      "prerouting",
      "input",
      "forward",
      "output",
      "postrouting",
    ]);
    expect(hookName(3, 1)).toBe("output");
    expect(hookName(5, 1)).toBe("egress");
    expect(hookName(2, 9)).toBe("hook 9");
    expect(hookNumber("output")).toBe(3);
  });

  test("families and protocols", () => {
    expect(familyName(10)).toBe("ipv6");
    expect(familyName(99)).toBe("family 99");
    expect(protocolName(6)).toBe("tcp");
    expect(protocolName(200)).toBe("protocol 200");
    expect(protocolNumber("udp")).toBe(17);
    expect(PROTOCOL_NAMES.map(protocolNumber).every((number) => number > 0 && number < 256)).toBe(true);
  });
});
