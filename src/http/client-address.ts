import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { AddressList } from "../util/address-list.ts";
import { valuesOf } from "./raw-headers.ts";

/** Loopback, private, shared (RFC 6598) and link-local addresses. */
const internal = new AddressList([
  "127.0.0.0/8",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "169.254.0.0/16",
  "::1",
  "fc00::/7",
  "fe80::/10",
]);

/**
 * Returns the address of the client that sent a request, for limits by address: an IPv4 address, or the first 64 bits of an
 * IPv6 address, which is what one client has. Behind trusted proxies it is the last address in X-Forwarded-For that is not
 * itself a trusted proxy, because anybody may have written those before it.
 *
 * Returns undefined where the address does not tell clients apart: for a peer with an internal address, which is most likely
 * a proxy that `trustedProxies` does not name, and for one on a unix socket.
 */
export function clientAddress(request: IncomingMessage, trustedProxies: AddressList): string | undefined {
  const peer = request.socket.remoteAddress;
  if (!trustedProxies.has(peer)) return peer === undefined || internal.has(peer) ? undefined : networkOf(peer);
  let client: string | undefined;
  for (const hop of valuesOf(request, "x-forwarded-for").join().split(",").reverse()) {
    const address = parseHop(hop.trim());
    if (address === undefined) break;
    client = address;
    if (!trustedProxies.has(address)) break;
  }
  return client === undefined ? undefined : networkOf(client);
}

/** Returns the address in an item of X-Forwarded-For, which some proxies write with a port; undefined if there is none. */
function parseHop(hop: string): string | undefined {
  const [, bracketed, v4] = /^(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+)$/.exec(hop) ?? [];
  const address = (bracketed ?? v4 ?? hop).replace(/%.*$/, "");
  return isIP(address) === 0 ? undefined : address;
}

/** Returns an IPv4 address as it is, also within IPv6, and the /64 network of an IPv6 address in one spelling. */
export function networkOf(address: string): string {
  if (isIP(address) === 4) return address;
  const groups = groupsOf(address.replace(/%.*$/, ""));
  const [high = 0, low = 0] = groups.slice(6);
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  if (isMapped) return [high >> 8, high & 255, low >> 8, low & 255].join(".");
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(":")}::/64`;
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): readonly number[] {
  // Its end may be written as an IPv4 address, which stands for two groups.
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [first = [], last = []] = plain.split("::").map((part) => (part === "" ? [] : part.split(":")));
  const zeros = Array<string>(Math.max(0, 8 - first.length - last.length)).fill("0");
  return [...first, ...zeros, ...last].map((group) => Number.parseInt(group, 16));
}
