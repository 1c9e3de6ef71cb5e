import type { Filter } from "mongodb";
import type { Append, TenantUsage } from "../../ports/store.ts";
import { LruCache } from "../../util/lru.ts";
import { SharedCalls } from "../../util/shared-calls.ts";
import type { Database } from "./database.ts";
import { type EntryDocument, feedName, feedOf, stampAt } from "./documents.ts";

/** The most tenants whose messages a node counts. */
const maxTenants = 10_000;
/** How long what was appended is gathered before it is added to the shared document, in ms. */
const gatherMs = 1_000;
/** Counting takes no more than this part of the time. */
const countShare = 0.02;

/** In `feeds`, under a name that no feed has: what a tenant has, for all nodes. */
interface UsageDocument {
  readonly _id: string;
  readonly bytes: number;
  readonly feeds: number;
  /** When it was last counted, by the clock of the database, in ms since the Unix epoch; 0 for never. */
  readonly at: number;
  /** How long that took, in ms. */
  readonly took: number;
}

/** The sum of a group of entries: of one feed, or of a message of several feeds. */
interface Group {
  readonly bytes: number;
  /** The size of the body of a message of several feeds. */
  readonly z?: number | null;
}

/**
 * What tenants have, about. Nodes add what they append to a document that they share, once a second. What recalls and
 * retention remove, and what a node that died did not add, is found by counting anew: one node does so, in the background,
 * at most once in `recountMs` and for a fiftieth of the time. Only tenants that a node was asked about are counted.
 */
export class MongoUsage {
  readonly #database: Database;
  readonly #recountMs: number;
  /** What this node has appended and not added yet, by tenant. */
  readonly #appended = new LruCache<string, { bytes: number; feeds: number }>({ entries: maxTenants });
  readonly #asked = new SharedCalls<TenantUsage>();
  #timer: NodeJS.Timeout | undefined;

  constructor(database: Database, recountMs: number) {
    this.#database = database;
    this.#recountMs = recountMs;
  }

  /** See Store. */
  usage(tenant: string): Promise<TenantUsage> {
    return this.#asked.run(tenant, () => this.#usage(tenant));
  }

  /** A message was stored, under these numbers. */
  appended({ tenant, body }: Append, seqs: readonly number[]): void {
    const waiting = this.#appended.peek(tenant);
    if (!waiting || seqs.length === 0) return;
    waiting.bytes += body.length;
    waiting.feeds += seqs.filter((seq) => seq === 1).length;
    this.#timer ??= setTimeout(() => runInBackground(this.#flush()), gatherMs).unref();
  }

  /** Adds what is gathered. A count that runs is cut by the end of the connection. */
  async close(): Promise<void> {
    if (this.#timer) await this.#flush().catch(() => {});
  }

  async #usage(tenant: string): Promise<TenantUsage> {
    const waiting = this.#appended.getOrCreate(tenant, () => ({ bytes: 0, feeds: 0 }));
    const _id = documentName(tenant);
    const [known] = await this.#database.find<UsageDocument>("feeds", { _id });
    const { bytes, feeds, at, took } = known ?? { bytes: 0, feeds: 0, at: 0, took: 0 };
    const now = Math.floor(this.#database.clock);
    if (now - at >= Math.max(this.#recountMs, took / countShare)) {
      if (!known) await this.#database.insert("feeds", [{ _id, bytes: 0, feeds: 0, at: 0, took: 0 }], false);
      // Of several nodes that see the old time, one counts. It counts what was appended before; nodes add what came since.
      const isOwn = await this.#database.updateOne<UsageDocument>("feeds", { _id, at }, { $set: { at: now } });
      if (isOwn === 1) runInBackground(this.#recount(tenant, { bytes, feeds }, now));
    }
    return { bytes: bytes + waiting.bytes, feeds: feeds + waiting.feeds };
  }

  /** Corrects the document by the difference to what is there, so that what nodes add meanwhile stays. */
  async #recount(tenant: string, before: TenantUsage, now: number): Promise<void> {
    const start = performance.now();
    const counted = await this.#count(tenant, now);
    const took = performance.now() - start;
    const $inc = { bytes: counted.bytes - before.bytes, feeds: counted.feeds - before.feeds };
    await this.#database.updateOne<UsageDocument>("feeds", { _id: documentName(tenant) }, { $inc, $set: { took } });
  }

  /** Counts the entries of a tenant that arrived before a time. */
  async #count(tenant: string, before: number): Promise<TenantUsage> {
    const o = { $lt: stampAt(before) };
    if (!this.#database.aggregate) return this.#countHere(tenant, { o });
    const first = feedName({ tenant, name: "" });
    // A feed's name is the tenant's, a dot and its own; the slash is the character after the dot.
    const match = { f: { $gte: first, $lt: `${first.slice(0, -1)}/` }, s: { $gt: 0 }, o };
    const options = { hint: "slot", allowDiskUse: true };
    const total = { bytes: { $sum: "$bytes" }, shared: { $sum: "$z" } };
    const [bytes] = await this.#database.aggregate<{ bytes: number; shared: number }>(
      "entries",
      [
        { $match: match },
        {
          $group: { _id: { r: { $ifNull: ["$r", "$f"] } }, bytes: { $sum: { $binarySize: "$d" } }, z: { $min: "$z" } },
        },
        { $group: { _id: {}, ...total } },
      ],
      options,
    );
    const [feeds] = await this.#database.aggregate<{ count: number }>(
      "entries",
      [{ $match: match }, { $group: { _id: { f: "$f" } } }, { $group: { _id: {}, count: { $sum: 1 } } }],
      options,
    );
    return { bytes: (bytes?.bytes ?? 0) + (bytes?.shared ?? 0), feeds: feeds?.count ?? 0 };
  }

  /** Counts in this process, for a server without aggregation, which is for small amounts of data. */
  async #countHere(tenant: string, filter: Filter<EntryDocument>): Promise<TenantUsage> {
    const options = { projection: { _id: 0, f: 1, d: 1, r: 1, z: 1 } };
    const entries = await this.#database.find<EntryDocument>("entries", filter, options);
    const groups = new Map<string, Group>();
    const feeds = new Set<string>();
    for (const { f, d, r, z } of entries) {
      if (feedOf(f).tenant !== tenant) continue;
      feeds.add(f);
      const { bytes } = groups.get(r ?? f) ?? { bytes: 0 };
      groups.set(r ?? f, { bytes: bytes + (d?.length ?? 0), z: z ?? null });
    }
    const bytes = [...groups.values()].reduce((sum, group) => sum + group.bytes + (group.z ?? 0), 0);
    return { bytes, feeds: feeds.size };
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const [tenant, waiting] of this.#appended.entries()) {
      const { bytes, feeds } = waiting;
      if (bytes === 0 && feeds === 0) continue;
      Object.assign(waiting, { bytes: 0, feeds: 0 });
      await this.#database.updateOne<UsageDocument>("feeds", { _id: documentName(tenant) }, { $inc: { bytes, feeds } });
    }
  }
}

/** Runs work that nobody waits for. What fails is found by the next count. */
function runInBackground(work: Promise<void>): void {
  work.catch(() => {});
}

function documentName(tenant: string): string {
  return `u${tenant}`;
}
