import type { Entry, FeedKey, FeedSlice } from "../../ports/store.ts";
import type { Database } from "./database.ts";
import { batchIdOf, type EntryDocument, feedName, type IdempotencyRecord } from "./documents.ts";
import { type FeedBoundsReader, StaleReadError } from "./feed-bounds.ts";
import type { KnownEnds } from "./known-ends.ts";

/** A slice ends once its bodies reach this many bytes, so that a lagging reader costs one bounded page. */
const sliceBytes = 64 * 1024;

/** Reads entries with their bodies. */
export class EntryReader {
  readonly #database: Database;
  readonly #bounds: FeedBoundsReader;
  readonly #known: KnownEnds;

  constructor(database: Database, bounds: FeedBoundsReader, known: KnownEnds) {
    this.#database = database;
    this.#bounds = bounds;
    this.#known = known;
  }

  /** See FeedLog. Throws StaleReadError. */
  async read(key: FeedKey, after: number, upTo: number, limit: number, now: number): Promise<FeedSlice> {
    const f = feedName(key);
    const floor = this.#known.floor(f);
    // Slots that are known to lie below the tail are not read.
    const from = Math.max(after + 1, this.#bounds.tailByCount(floor));
    const { slots, full } = await this.#slots(f, from, upTo, limit, now);
    const seen = slots.at(-1)?.s ?? 0;
    // Nothing lay behind the last slot, so that was the end; what was appended meanwhile is left to the next read.
    const atEnd = !full && seen > 0 && seen < upTo;
    // The tail is read after the slots: what was deleted before they were read is below it.
    const [last, tails] = await Promise.all([atEnd ? seen : this.#lastSeq(f), this.#bounds.tails([f])]);
    const seq = full || seen >= upTo ? Math.max(last, seen) : Math.min(last, Math.max(after, seen));
    const bounds = this.#bounds.boundsOf(seq, tails.get(f) ?? 1);
    requireWhole(slots, Math.max(from, bounds.tail), full ? seen : Math.min(upTo, floor));
    const live = slots.filter((slot) => slot.s >= bounds.tail && isLive(slot, now));
    const end = Math.max(after, seen, Math.min(upTo, bounds.tail - 1, bounds.seq));
    return { bounds, entries: await this.withBodies(live), through: full ? Math.max(after, seen) : end };
  }

  /**
   * The entries of rows, with bodies. A row whose message was recalled meanwhile has no body any more, and is left out.
   */
  async withBodies(rows: readonly EntryDocument[]): Promise<Entry[]> {
    return (await this.join(rows)).map(({ row, body }) => toEntry(row, this.#bounds.epoch, body));
  }

  /**
   * Rows with their bodies, which for messages of several feeds are in their records. Rows without one are left out.
   */
  async join(rows: readonly EntryDocument[]): Promise<{ row: EntryDocument; body: Uint8Array }[]> {
    const names = [...new Set(rows.flatMap(({ r }) => r ?? []))];
    const filter = { f: { $in: names }, s: 0 };
    const options = { projection: { f: 1, id: 1, d: 1 } };
    const records = names.length === 0 ? [] : await this.#database.find<IdempotencyRecord>("entries", filter, options);
    const bodies = new Map(records.map(({ f, id, d }) => [`${f} ${id}`, d]));
    return rows.flatMap((row) => {
      const body = row.r === undefined ? row.d : bodies.get(`${row.r} ${row.m}`);
      return body ? [{ row, body }] : [];
    });
  }

  async #lastSeq(f: string): Promise<number> {
    return (await this.#bounds.lastSeqs([f])).get(f) ?? 0;
  }

  /**
   * Reads slots from a number on, until enough of them are live or their bodies are large enough: `full` is true then, and
   * false when there are no more slots.
   */
  async #slots(
    f: string,
    first: number,
    upTo: number,
    limit: number,
    now: number,
  ): Promise<{ slots: EntryDocument[]; full: boolean }> {
    const slots: EntryDocument[] = [];
    let [live, bytes, from] = [0, 0, first];
    while (live < limit && bytes < sliceBytes) {
      const count = Math.min(this.#database.pageSize, limit - live);
      const options = { sort: { s: 1 }, limit: count, batchSize: count } as const;
      const page = await this.#database.find<EntryDocument>("entries", { f, s: { $gte: from, $lte: upTo } }, options);
      for (const slot of page) {
        slots.push(slot);
        from = slot.s + 1;
        if (!isLive(slot, now)) continue;
        live++;
        bytes += slot.z ?? slot.d?.length ?? 0;
        if (live === limit || bytes >= sliceBytes) return { slots, full: true };
      }
      if (page.length < count) return { slots, full: false };
    }
    return { slots, full: true };
  }
}

/** Throws StaleReadError unless the slots go from `first` to `last` at least, without a hole. */
function requireWhole(slots: readonly EntryDocument[], first: number, last: number): void {
  let next = first;
  for (const { s } of slots) {
    if (s < first) continue;
    if (s !== next) throw new StaleReadError(`slot ${next} is missing before ${s}`);
    next++;
  }
  if (next <= last) throw new StaleReadError(`slot ${next} is missing`);
}

function isLive({ k, x = Number.POSITIVE_INFINITY }: EntryDocument, now: number): boolean {
  return k > 0 && x > now;
}

/** The entry of a row, with a body that was read with it or from its record. */
export function toEntry(row: EntryDocument, epoch: number, body: Uint8Array): Entry {
  return {
    epoch,
    seq: row.s,
    id: row.m,
    // The driver's Buffer, as the plain Uint8Array that callers compare and encode.
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
