import { BlockList, isIP } from "node:net";

/** The entry that stands for peers on unix sockets, which have no address. */
const unixPeers = "unix:";

/** A list of IP addresses and subnets. */
export class AddressList {
  readonly #list = new BlockList();
  #hasUnixPeers = false;

  /**
   * Takes addresses (`10.0.0.7`, `::1`), subnets in CIDR notation (`10.0.0.0/8`), and `unix:` for peers on unix sockets.
   * Throws a TypeError that quotes an entry that is none of these.
   */
  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      if (!isAddressRange(entry)) throw new TypeError(`${JSON.stringify(entry)} is not ${addressRangeRule}`);
      this.#add(entry);
    }
  }

  /** Reports whether an address is in the list; undefined is the address of a peer on a unix socket. */
  has(address: string | undefined): boolean {
    if (address === undefined) return this.#hasUnixPeers;
    // A socket that listens on `::` reports IPv4 peers in this form.
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, "");
    const version = isIP(plain);
    return version !== 0 && this.#list.check(plain, version === 4 ? "ipv4" : "ipv6");
  }

  #add(entry: string): void {
    if (entry === unixPeers) {
      this.#hasUnixPeers = true;
      return;
    }
    const [network = "", bits] = entry.split("/");
    const family = isIP(network) === 4 ? "ipv4" : "ipv6";
    if (bits === undefined) this.#list.addAddress(network, family);
    else this.#list.addSubnet(network, Number(bits), family);
  }
}

/** The rule of an entry, to follow the words "must be" in an error. */
export const addressRangeRule = "an IP address, a subnet such as 10.0.0.0/8, or unix:";

/** Reports whether an AddressList takes an entry. */
export function isAddressRange(entry: string): boolean {
  if (entry === unixPeers) return true;
  const [network = "", bits, ...rest] = entry.split("/");
  const most = [undefined, undefined, undefined, undefined, 32, undefined, 128][isIP(network)];
  if (most === undefined || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most);
}
