import { type Append, keyExpiry } from "../../ports/store.ts";
import type { Database } from "./database.ts";
import { contentOf, type IdempotencyRecord, keyRecordName, messageRecordName } from "./documents.ts";
import { pauseBeforeRetry } from "./retry.ts";

/** A message that is being appended. */
export interface Draft {
  readonly message: Append;
  /** Order of arrival: see createStamps. */
  readonly order: string;
  /** The caller no longer waits. */
  readonly expired: () => boolean;
}

/** The name of a message's record. */
export function recordNameOf({ tenant, key, id }: Append): string {
  return key === "" ? messageRecordName(id) : keyRecordName(tenant, key);
}

/** The record that a message makes at `at`, by the clock of the database. */
export function recordOf({ message, order }: Draft, at: number): IdempotencyRecord {
  const { tenant, id, publishTime, key, digest, feeds, body } = message;
  const expireTime = key === "" ? message.expireTime : keyExpiry(message);
  const f = recordNameOf(message);
  const e = { ...contentOf(message, order, messageRecordName(id)), r: f, z: body.length };
  return {
    f,
    s: 0,
    id,
    tenant,
    h: digest,
    o: order,
    at,
    p: publishTime,
    ...(expireTime === Number.POSITIVE_INFINITY ? {} : { x: expireTime }),
    to: feeds,
    ...(feeds.length > 1 ? { e, d: body } : {}),
  };
}

/** Idempotency records in the database. */
export class IdempotencyRecords {
  readonly #database: Database;
  readonly #onError: (error: unknown) => void;

  /** `onError` hears of inserts that were not confirmed. */
  constructor(database: Database, onError: (error: unknown) => void) {
    this.#database = database;
    this.#onError = onError;
  }

  /**
   * Inserts the records of messages of different keys. Resolves to the record that is there of each: its own, or
   * another message's. Retries until it knows them all, or until the first message has expired.
   */
  async insert(drafts: readonly Draft[]): Promise<ReadonlyMap<Draft, IdempotencyRecord>> {
    const present = new Map<Draft, IdempotencyRecord>();
    for (let attempt = 0; present.size < drafts.length && !drafts[0]?.expired(); attempt++) {
      if (attempt > 0) await pauseBeforeRetry(attempt);
      const missing = drafts.filter((draft) => !present.has(draft));
      const records = missing.map((draft) => recordOf(draft, this.#database.clock));
      const { confirmed, duplicates, error } = await this.#database.insert("entries", records, false);
      if (!confirmed) this.#onError(error);
      const unknown = new Set(confirmed ? duplicates : records.keys());
      for (const [index, draft] of missing.entries()) {
        if (!unknown.has(index)) present.set(draft, records[index] as IdempotencyRecord);
      }
      if (unknown.size === 0) continue;
      // What is not on a majority yet is not found, and inserted again.
      const found = await this.#read([...unknown].map((index) => (records[index] as IdempotencyRecord).f));
      for (const draft of missing) {
        const record = found.get(recordNameOf(draft.message));
        if (record) present.set(draft, record);
      }
    }
    return present;
  }

  /** Reads a record; undefined if it is not there, or could not be read. */
  async read(name: string): Promise<IdempotencyRecord | undefined> {
    return (await this.#read([name])).get(name);
  }

  /**
   * Replaces a record by another message's of the same key, unless it has been replaced since it was read. Reports
   * whether it did.
   */
  async replace({ f, o }: IdempotencyRecord, next: IdempotencyRecord): Promise<boolean> {
    return (await this.#database.replaceOne<IdempotencyRecord>("entries", { f, s: 0, o }, next)) === 1;
  }

  async #read(names: readonly string[]): Promise<ReadonlyMap<string, IdempotencyRecord>> {
    const filter = { f: { $in: names }, s: 0 };
    const records = await this.#database.find<IdempotencyRecord>("entries", filter).catch(() => []);
    return new Map(records.map((record) => [record.f, record]));
  }
}
