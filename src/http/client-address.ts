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
  const [, mapped] = /^::ffff:([\d.]+)$/i.exec(address) ?? [];
  if (mapped !== undefined) return mapped;
  if (isIP(address) === 4) return address;
  const [before = "", after] = address.replace(/%.*$/, "").split("::");
  const groups = before === "" ? [] : before.split(":");
  const last = after ? after.split(":") : [];
  // A trailing IPv4 address takes up two groups; it is never among the first four.
  const missing = after === undefined ? 0 : 8 - groups.length - last.length - (last.at(-1)?.includes(".") ? 1 : 0);
  const all = [...groups, ...Array<string>(Math.max(0, missing)).fill("0"), ...last];
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}
