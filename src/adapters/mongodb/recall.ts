import type { MessageLocation, Recalled } from "../../ports/store.ts";
import { mapLimited } from "../../util/limit.ts";
import { type Connection, maxParallel } from "./connection.ts";
import { type ClaimDocument, claimedAt, type EntryDocument, feedName, feedOf } from "./documents.ts";
import type { Heads } from "./heads.ts";
import type { Layout } from "./layout.ts";
import type { Locks } from "./locks.ts";

/** Leaves of an entry what keeps its number taken and is there once for: nothing lists, counts or finds it. */
export const tombstone = {
  $set: { k: 0, g: "" },
  $unset: { a: "", y: "", i: "", b: "", d: "", r: "", z: "", q: "", x: "" },
} as const;

/** The same of a recall: a repetition knows the entry again, until its time has come. */
const { x: _, ...withoutExpiry } = tombstone.$unset;
const recalled = { $set: { ...tombstone.$set, k: -1 }, $unset: withoutExpiry } as const;

/** Takes messages out of their feeds. */
export class MongoRecaller {
  readonly #connection: Connection;
  readonly #layout: Layout;
  readonly #heads: Heads;
  readonly #locks: Locks;

  constructor(connection: Connection, layout: Layout, heads: Heads, locks: Locks) {
    this.#connection = connection;
    this.#locks = locks;
    this.#layout = layout;
    this.#heads = heads;
  }

  /** See FeedLog. */
  async recall(tenant: string, ids: readonly string[]): Promise<Recalled[]> {
    const filter = { m: { $in: [...new Set(ids.map((id) => id.toLowerCase()))] }, k: { $ne: 0 } };
    const projection = { d: 0 };
    const found = await this.#connection.findAcross<EntryDocument>(this.#layout.all, filter, { projection });
    const all = found.filter(({ f }) => feedOf(f).tenant === tenant);
    const entries = all.filter(({ k }) => k > 0);
    // First the claims, or a retry under the key could bring the message back in between.
    await this.#closeClaims(entries);
    await this.#empty(entries, recalled);
    const visible = await this.#visible(all);
    return visible.map(({ m, f, s, k }) => ({ id: m, feed: feedOf(f), seq: s, again: k < 0 }));
  }

  /** Empties the entries of a claim's message; answers those that this call emptied and readers could see. */
  async takeBack(claim: ClaimDocument, once: string): Promise<MessageLocation[]> {
    const places: MessageLocation[] = [];
    const feeds = claim.to.map((name) => feedName({ tenant: claim.tenant, name }));
    for (const [name, some] of this.#layout.group(feeds)) {
      const filter = { f: { $in: some }, c: once, k: { $gt: 0 } };
      const entries = await this.#connection.find<EntryDocument>(name, filter, { projection: { d: 0 } });
      if (entries.length === 0) continue;
      // Of several that take it back at once, one is told where it lay.
      const count = await this.#locks.exclusively(once, () => this.#empty(entries, tombstone));
      if (count > 0) places.push(...(await this.#visible(entries)).map(placeOf));
    }
    return places;
  }

  async #closeClaims(entries: readonly EntryDocument[]): Promise<void> {
    const claims = this.#connection.collection<ClaimDocument>(this.#layout.claims);
    const shared = new Map(entries.filter(({ r }) => r).map((entry) => [entry.r, entry]));
    const own = entries.filter(({ q }) => q);
    await mapLimited(maxParallel, [...shared.values(), ...own], ({ r, q, c, m, p = 0 }) => {
      // By its order: the key may belong to a later message by now.
      const filter = r === undefined ? { f: q ?? "", s: 0, o: claimedAt(c) } : { f: r, s: 0, id: m };
      return claims.updateOne(filter, { $set: { gone: { id: m, p } }, $unset: { d: "", e: "" } });
    });
  }

  /** By feed and number, and only what they were read as; answers how many it was. */
  async #empty(entries: readonly EntryDocument[], change: typeof tombstone | typeof recalled): Promise<number> {
    let count = 0;
    const byOnce = Map.groupBy(entries, ({ f, c }) => `${this.#layout.entries(f)} ${c}`);
    await mapLimited(maxParallel, [...byOnce.values()], async (same) => {
      const [{ f, c }] = same as [EntryDocument];
      const collection = this.#connection.collection<EntryDocument>(this.#layout.entries(f));
      const filter = { f: { $in: same.map((entry) => entry.f) }, c, k: { $gt: 0 } };
      count += (await collection.updateMany(filter, change)).modifiedCount;
    });
    return count;
  }

  async #visible(entries: readonly EntryDocument[]): Promise<EntryDocument[]> {
    const heads = await this.#heads.headsOf(entries.map(({ f }) => f));
    return entries.filter(({ f, s }) => s >= (heads.get(f)?.tail ?? 1));
  }
}

/** Where an entry lies. */
export function placeOf({ f, s, m, k, g, x }: Pick<EntryDocument, "f" | "s" | "m" | "k" | "g" | "x">): MessageLocation {
  return { id: m, feed: feedOf(f), seq: s, kind: k, category: g, expireTime: x ?? Number.POSITIVE_INFINITY };
}
