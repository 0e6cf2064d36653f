import { describe, expect, test } from "vitest";
import { ipText, ipv4Number } from "../../../lib/net/address.js";
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
