import type { IncomingMessage } from "node:http";
import fc from "fast-check";
import { expect, test } from "vitest";
import { clientAddress } from "../../src/http/client-address.ts";
import { AddressList } from "../../src/util/address-list.ts";

/** The address of a request from a peer, with these values of X-Forwarded-For. */
function addressOf(peer: string | undefined, forwardedFor: string[] = [], trusted: string[] = []): string | undefined {
  const rawHeaders = forwardedFor.flatMap((value) => ["X-Forwarded-For", value]);
  const request = { socket: { remoteAddress: peer }, rawHeaders } as unknown as IncomingMessage;
  return clientAddress(request, new AddressList(trusted));
}

test.each([
  ["203.0.113.7", "203.0.113.7"],
  ["::ffff:203.0.113.7", "203.0.113.7"],
  ["::FFFF:cb00:7107", "203.0.113.7"],
  ["0:0:0:0:0:ffff:203.0.113.7", "203.0.113.7"],
  ["0000:0000:0000:0000:0000:ffff:cb00:7107", "203.0.113.7"],
  ["64:ff9b::203.0.113.7", "64:ff9b:0:0::/64"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:DB8:0001::6", "2001:db8:1:0::/64"],
  ["2001:db8::2:3:4:5:6", "2001:db8:0:2::/64"],
  ["2001::4:5:6:1.2.3.4", "2001:0:0:4::/64"],
  ["2001:db8:1:2:3:4:1.2.3.4", "2001:db8:1:2::/64"],
])("A client connected from %s has the address %s", (peer, address) => {
  expect(addressOf(peer)).toBe(address);
});

test.each([
  "127.0.0.1",
  "::1",
  "::ffff:10.1.2.3",
  "192.168.1.1",
  "172.31.0.1",
  "100.64.0.1",
  "fd00::1",
  "fe80::1",
  undefined,
])("A peer at %s, which is most likely a proxy, has none", (peer) => {
  expect(addressOf(peer, ["203.0.113.7"])).toBeUndefined();
});

test("What a peer that is not trusted says in X-Forwarded-For does not count", () => {
  expect(addressOf("203.0.113.7", ["198.51.100.1"])).toBe("203.0.113.7");
  expect(addressOf("203.0.113.7", ["198.51.100.1"], ["203.0.113.8"])).toBe("203.0.113.7");
});

test.each<[string, string[], string | undefined]>([
  ["the last address", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"],
  ["the last address that is no trusted proxy", ["198.51.100.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"],
  ["the last address of several headers", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"],
  ["an internal address, too", ["192.168.7.7"], "192.168.7.7"],
  ["the first proxy, where there is no other address", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"],
  ["an address with a port", ["203.0.113.9:4711"], "203.0.113.9"],
  ["an address in brackets", ["[2001:db8::1]:4711"], "2001:db8:0:0::/64"],
  ["nothing before what is no address", ["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"],
  ["none without the header", [], undefined],
  ["none of an empty header", [" ,"], undefined],
])("Behind a trusted proxy, a client has %s", (_, forwardedFor, address) => {
  expect(addressOf("10.0.0.1", forwardedFor, ["10.0.0.0/8"])).toBe(address);
});

test("A trusted proxy on a unix socket is believed", () => {
  expect(addressOf(undefined, ["203.0.113.9"], ["unix:"])).toBe("203.0.113.9");
});

test("Whatever a client writes before it, the address that the proxy adds counts", () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (written) => {
      expect(addressOf("10.0.0.1", [...written, "203.0.113.9"], ["10.0.0.1"])).toBe("203.0.113.9");
    }),
  );
});
