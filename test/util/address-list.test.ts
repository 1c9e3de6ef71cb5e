import { describe, expect, test } from "vitest";
import { AddressList, isAddressRange } from "../../src/util/address-list.ts";

describe("A list of addresses", () => {
  const list = new AddressList(["10.1.0.0/16", "192.0.2.7", "2001:db8::/32", "::1"]);

  test.each([
    "10.1.2.3",
    "192.0.2.7",
    "::ffff:192.0.2.7",
    "::FFFF:10.1.0.1",
    "2001:db8:1::9",
    "::1",
    "0:0:0:0:0:0:0:1",
  ])("has %s", (address) => {
    expect(list.has(address)).toBe(true);
  });

  test.each(["10.2.0.1", "192.0.2.8", "::ffff:192.0.2.8", "2001:db9::1", "::2", "", "x", undefined])(
    "does not have %s",
    (address) => {
      expect(list.has(address)).toBe(false);
    },
  );

  test("has peers on unix sockets only where it names them", () => {
    expect(new AddressList(["unix:"]).has(undefined)).toBe(true);
    expect(new AddressList(["unix:"]).has("127.0.0.1")).toBe(false);
  });

  test("has every address of a family in its widest subnet", () => {
    expect(new AddressList(["0.0.0.0/0"]).has("203.0.113.9")).toBe(true);
    expect(new AddressList(["0.0.0.0/0"]).has("2001:db8::1")).toBe(false);
    expect(new AddressList(["::/0"]).has("2001:db8::1")).toBe(true);
  });

  test.each([
    "",
    "10.0.0.0/33",
    "::/129",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "10.0.0/8",
    "proxy.example",
    "10.0.0.0/-1",
    "*",
  ])("refuses the entry %j", (entry) => {
    expect(isAddressRange(entry)).toBe(false);
    expect(() => new AddressList([entry])).toThrow(TypeError);
  });
});
