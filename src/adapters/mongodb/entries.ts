import type { Entry, FeedKey, FeedSlice } from "../../ports/store.ts";
import type { Connection } from "./connection.ts";
import { type ClaimDocument, type EntryDocument, feedName } from "./documents.ts";
import { type Heads, StaleAnswer } from "./heads.ts";
import type { Layout } from "./layout.ts";

/** A stretch ends once it holds so many bytes, so that a lagging reader costs one bounded page. */
const stretchBytes = 64 * 1024;
/** Slots of one query, where a second one does not cost as much as the first. */
const pageSize = 128;

/** Reads entries with their bodies. */
export class Entries {
  readonly #connection: Connection;
  readonly #layout: Layout;
  readonly #heads: Heads;

  constructor(connection: Connection, layout: Layout, heads: Heads) {
    this.#connection = connection;
    this.#layout = layout;
    this.#heads = heads;
  }

  /** See FeedLog. */
  async read(key: FeedKey, after: number, upTo: number, limit: number, now: number): Promise<FeedSlice> {
    const f = feedName(key);
    const known = this.#heads.floor(f);
    // What is known to be below the tail is not even looked at.
    const from = Math.max(after + 1, this.#heads.tailByCount(known));
    const { slots, full } = await this.#slots(f, from, upTo, limit, now);
    const seen = slots.at(-1)?.s ?? 0;
    // Where nothing lay behind what was seen, that was the end; what came meanwhile is left to the next read.
    const atEnd = !full && seen > 0 && seen < upTo;
    // The tail after the slots: what was deleted before they were read is below it.
    const [last, tails] = await Promise.all([atEnd ? seen : this.#lastOf(f), this.#heads.tailsOf([f])]);
    const seq = full || seen >= upTo ? Math.max(last, seen) : Math.min(last, Math.max(after, seen));
    const head = this.#heads.head(seq, tails.get(f) ?? 1);
    requireWhole(slots, Math.max(from, head.tail), full ? seen : Math.min(upTo, known));
    const live = slots.filter((slot) => slot.s >= head.tail && isLive(slot, now));
    const end = Math.max(after, seen, Math.min(upTo, head.tail - 1, head.seq));
    return { bounds: head, entries: await this.withBodies(live), through: full ? Math.max(after, seen) : end };
  }

  /** Entries of rows, with bodies; a row whose body was taken away meanwhile is left out. */
  async withBodies(rows: readonly EntryDocument[]): Promise<Entry[]> {
    return (await this.joined(rows)).map(({ row, body }) => toEntry(row, this.#heads.epoch, body));
  }

  /** Rows with their bodies, which for messages of several feeds lie with their claims. */
  async joined(rows: readonly EntryDocument[]): Promise<{ row: EntryDocument; body: Uint8Array }[]> {
    const names = [...new Set(rows.flatMap(({ r }) => r ?? []))];
    const filter = { f: { $in: names }, s: 0 };
    const projection = { f: 1, id: 1, d: 1 };
    const claims =
      names.length === 0 ? [] : await this.#connection.find<ClaimDocument>(this.#layout.claims, filter, { projection });
    const bodies = new Map(claims.map(({ f, id, d }) => [`${f} ${id}`, d]));
    return rows.flatMap((row) => {
      const body = row.r === undefined ? row.d : bodies.get(`${row.r} ${row.m}`);
      return body ? [{ row, body }] : [];
    });
  }

  async #lastOf(f: string): Promise<number> {
    return (await this.#heads.lastOf([f])).get(f) ?? 0;
  }

  /** Slots from a number on, until so many of them are live, or hold so many bytes, or there are no more. */
  async #slots(
    f: string,
    first: number,
    upTo: number,
    limit: number,
    now: number,
  ): Promise<{ slots: EntryDocument[]; full: boolean }> {
    const slots: EntryDocument[] = [];
    let [live, bytes, from] = [0, 0, first];
    for (; live < limit && bytes < stretchBytes; ) {
      const count = this.#layout.scans ? limit : Math.min(pageSize, limit - live);
      const options = { sort: { s: 1 }, limit: count, batchSize: count } as const;
      const name = this.#layout.entries(f);
      const page = await this.#connection.find<EntryDocument>(name, { f, s: { $gte: from, $lte: upTo } }, options);
      for (const slot of page) {
        slots.push(slot);
        from = slot.s + 1;
        if (!isLive(slot, now)) continue;
        live++;
        bytes += slot.z ?? slot.d?.length ?? 0;
        if (live === limit || bytes >= stretchBytes) return { slots, full: true };
      }
      if (page.length < count) return { slots, full: false };
    }
    return { slots, full: true };
  }
}

/**
 * Slots follow one another without a hole, and go as far as is known. Otherwise the answer comes from a server that knows
 * less than others do.
 */
function requireWhole(slots: readonly EntryDocument[], first: number, last: number): void {
  let next = first;
  for (const { s } of slots) {
    if (s < first) continue;
    if (s !== next) throw new StaleAnswer(`slot ${next} is missing before ${s}`);
    next++;
  }
  if (next <= last) throw new StaleAnswer(`slot ${next} is missing`);
}

function isLive({ k, x = Number.POSITIVE_INFINITY }: EntryDocument, now: number): boolean {
  return k > 0 && x > now;
}

/** An Entry of a row. */
export function toEntry(row: EntryDocument, epoch: number, body: Uint8Array): Entry {
  return {
    epoch,
    seq: row.s,
    id: row.m,
    body: new Uint8Array(body.buffer, body.byteOffset, body.byteLength),
    kind: row.k,
    category: row.g,
    actorId: row.a ?? "",
    objectType: row.y ?? "",
    objectId: row.i ?? "",
    batchId: row.b === undefined ? "" : batchIdOf(row.b),
    publishTime: row.p ?? 0,
    expireTime: row.x ?? Number.POSITIVE_INFINITY,
  };
}

/** The batch's own name: what follows the tenant. */
function batchIdOf(b: string): string {
  const dot = b.indexOf(".");
  return b.slice(dot + 1 + Number(b.slice(0, dot)) + 1);
}
