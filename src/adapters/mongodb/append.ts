/**
 * How a message is appended, without transactions.
 *
 * Two unique indexes decide everything: (feed, number) and (feed, deduplication key).
 *
 * 1. A message with a key, or of several feeds, gets an idempotency record first. Of several messages
 *    that race for a key, the one whose record is stored gets it. For a message of several feeds, the record holds the
 *    body and the content of the entries.
 * 2. Each feed gets an entry, numbered from the last number that is known to be on a majority. A node has one insert of
 *    a feed in flight. It is ordered and stops at its first failure: what it stores is a prefix, so a feed never has a
 *    hole. For a message of one feed, the same insert stores the record before the entry.
 * 3. The caller is answered once record and entries are on a majority.
 *
 * Any node may repeat any step, because the same record or entry cannot be stored twice. These are the failures:
 *
 * - Another node takes the number. The insert meets a duplicate of (feed, number); the writer reads the end of the feed
 *   again, and inserts the rest of its batch behind it.
 * - An insert is not answered, or not confirmed by a majority: it may be stored, still arrive, or be rolled back. The
 *   writer looks on a majority for the deduplication keys, and inserts again what it does not find. If both inserts
 *   reach the server, the second one fails, whichever that is.
 * - The node dies, or the deadline of the caller passes, between record and entries. A repetition under the key, on
 *   whichever node, finds the record. For a message of several feeds, it inserts the missing entries from the record. For
 *   a message of one feed, it inserts its own entry under the deduplication key of the record: the first such entry is
 *   the message, and every repetition is answered with its id.
 * - The key has expired, or the message that holds it is to be replaced. The key goes to the new message by replacing
 *   the record, unless the record has changed since it was read. The new record has an order of its own, and so a new
 *   deduplication key: a late entry of the earlier message cannot pass for one of the new message.
 * - A message is to be replaced while its entry is missing, and may still arrive. Its entry must be stored before it
 *   can be taken back; if that has not happened a second after the record was made, a tombstone is stored under its
 *   deduplication key, and a late insert fails.
 * - A message is recalled before all of its entries are stored. Its record is marked and loses the body and the
 *   content, so that no repetition completes it.
 * - A node is suspended before its insert, and meanwhile the feed is appended to and trimmed, so that the number is free
 *   again. BatchWriter therefore compares an end that it learned long ago with the tail.
 */
import type { Append, AppendResult, MessageLocation } from "../../ports/store.ts";
import type { BatchWriter, EntryOutcome } from "./batch-writer.ts";
import type { Database } from "./database.ts";
import {
  contentOf,
  createStamps,
  dedupKey,
  type EntryContent,
  type EntryDocument,
  feedName,
  type IdempotencyRecord,
  keyRecordName,
  messageRecordName,
} from "./documents.ts";
import type { DoneMarks } from "./done-marks.ts";
import { type Draft, type IdempotencyRecords, recordNameOf, recordOf } from "./idempotency-records.ts";
import type { MongoRecaller } from "./recall.ts";
import { pauseBeforeRetry } from "./retry.ts";

/**
 * How long an append may take from its record to its entry, in ms, before a tombstone is stored instead of the entry.
 */
const abandonedMs = 1_000;

/** Appends messages: see above. */
export class Appender {
  readonly #database: Database;
  readonly #writer: BatchWriter;
  readonly #records: IdempotencyRecords;
  readonly #marks: DoneMarks;
  readonly #recaller: MongoRecaller;
  readonly #epoch: number;
  readonly #onStored: (message: Append, seqs: readonly number[]) => void;
  readonly #stamp: (id: string) => string;
  /** The last takeover of each key that is under way, by the record's name. It never rejects. */
  readonly #takeovers = new Map<string, Promise<void>>();

  constructor(
    database: Database,
    parts: {
      writer: BatchWriter;
      records: IdempotencyRecords;
      marks: DoneMarks;
      recaller: MongoRecaller;
      epoch: number;
      stored: (message: Append, seqs: readonly number[]) => void;
    },
  ) {
    this.#database = database;
    this.#stamp = createStamps(database);
    this.#writer = parts.writer;
    this.#records = parts.records;
    this.#marks = parts.marks;
    this.#recaller = parts.recaller;
    this.#epoch = parts.epoch;
    this.#onStored = parts.stored;
  }

  /** See FeedLog. Retries until the outcomes are known, or until `expired`. */
  async append(messages: readonly Append[], expired: () => boolean): Promise<AppendResult[]> {
    const results: AppendResult[] = [];
    for (const round of roundsOf(messages)) {
      const drafts = round.map((message) => ({ message, order: this.#stamp(message.id), expired }));
      results.push(...(await this.#appendRound(drafts)));
    }
    return results;
  }

  /**
   * Appends messages of different keys. Entries are queued in one event-loop tick, so that feeds get them in this
   * order.
   */
  async #appendRound(drafts: readonly Draft[]): Promise<AppendResult[]> {
    const recordFirst = drafts.filter(
      ({ message }) => message.feeds.length > 1 || (message.feeds.length === 0 && message.key),
    );
    const records = await this.#records.insert(recordFirst);
    return Promise.all(
      drafts.map((draft) => {
        const record = records.get(draft);
        if (record) {
          return record.id === draft.message.id ? this.#complete(draft, record) : this.#resolveHeldKey(draft, record);
        }
        const [name] = draft.message.feeds;
        return name === undefined ? this.#stored(draft, []) : this.#appendToOneFeed(draft, name);
      }),
    );
  }

  /** Inserts the record of a key, if there is one, and the entry together. */
  async #appendToOneFeed(draft: Draft, name: string): Promise<AppendResult> {
    const { message, order } = draft;
    const record = message.key === "" ? undefined : recordOf(draft, this.#database.clock);
    const c = record ? dedupKey({ o: order }) : messageRecordName(message.id);
    return this.#resultOf(draft, await this.#write(draft, name, singleContentOf(draft, c), record));
  }

  #resultOf(
    draft: Draft,
    outcome: EntryOutcome,
    replaced?: readonly MessageLocation[],
  ): AppendResult | Promise<AppendResult> {
    if ("seq" in outcome) return this.#stored(draft, [outcome.seq], replaced);
    if ("heldBy" in outcome) return this.#resolveHeldKey(draft, outcome.heldBy);
    const { m, k, p = draft.message.publishTime } = outcome.existing;
    if (m === draft.message.id && k === 0) throw new Error("another message replaced this one before it was stored");
    return this.#duplicate(m, p);
  }

  /** Appends to the feeds of a message that has its record. */
  async #complete(
    draft: Draft,
    record: IdempotencyRecord,
    replaced?: readonly MessageLocation[],
  ): Promise<AppendResult> {
    const { feeds } = draft.message;
    const [name] = feeds;
    if (name === undefined || feeds.length > 1) {
      return this.#stored(draft, await this.#writeFromRecord(draft, record), replaced);
    }
    const outcome = await this.#write(draft, name, singleContentOf(draft, dedupKey(record)));
    return this.#resultOf(draft, outcome, replaced);
  }

  /**
   * Another message holds the key: resolves to that one, or takes the key over; callers of one key do so one by one.
   */
  #resolveHeldKey(draft: Draft, record: IdempotencyRecord): Promise<AppendResult> {
    const { message } = draft;
    if (!message.replace && !isFree(record, message)) return this.#resultOfHeldKey(draft, record);
    const takeover = (this.#takeovers.get(record.f) ?? Promise.resolve()).then(() => this.#takeOver(draft, record.f));
    const settled = takeover.then(
      () => {},
      () => {},
    );
    this.#takeovers.set(record.f, settled);
    void settled.then(() => this.#takeovers.get(record.f) === settled && this.#takeovers.delete(record.f));
    return takeover;
  }

  async #takeOver(draft: Draft, name: string): Promise<AppendResult> {
    const { message, expired } = draft;
    const replaced: MessageLocation[] = [];
    let record = await this.#records.read(name);
    for (let attempt = 0; !expired(); attempt++) {
      if (!record) record = (await this.#records.insert([draft])).get(draft);
      if (!record) break;
      if (record.id === message.id) return this.#complete(draft, record, message.replace ? replaced : undefined);
      if (!message.replace && !isFree(record, message)) return this.#resultOfHeldKey(draft, record);
      if (message.replace) {
        if (!(await this.#settleEntries(draft, record))) {
          await pauseBeforeRetry(attempt);
          record = await this.#records.read(record.f);
          continue;
        }
        replaced.push(...(await this.#recaller.takeBack(record, entryKeyOf(record))));
      }
      const next = recordOf(draft, this.#database.clock);
      record = (await this.#records.replace(record, next)) ? next : await this.#records.read(record.f);
    }
    throw new Error("other messages compete for the key");
  }

  /** Another message keeps the key: resolves to that one, after completing it where its writer did not. */
  async #resultOfHeldKey(draft: Draft, record: IdempotencyRecord): Promise<AppendResult> {
    if (record.h !== draft.message.digest) return { outcome: "conflict" };
    const [name, more] = record.to;
    if (record.gone) return this.#duplicate(record.gone.id, record.gone.p);
    if (more !== undefined && !record.done) await this.#writeFromRecord(draft, record);
    if (name === undefined || more !== undefined) return this.#duplicate(record.id, record.p);
    const c = dedupKey(record);
    const existing = await this.#readEntry(record.tenant, name, c);
    if (existing) return this.#duplicate(existing.m, existing.p ?? record.p);
    return this.#resultOf(draft, await this.#write(draft, name, singleContentOf(draft, c)));
  }

  /**
   * Reports whether all entries of the message that holds the key are in their feeds, so that none can arrive after it
   * was taken back. Stores a tombstone instead of an entry that its writer has abandoned.
   */
  async #settleEntries(draft: Draft, record: IdempotencyRecord): Promise<boolean> {
    const [name, more] = record.to;
    if (record.gone || name === undefined) return true;
    if (more !== undefined) {
      if (!record.done) await this.#writeFromRecord(draft, record);
      return true;
    }
    const c = dedupKey(record);
    if (await this.#readEntry(record.tenant, name, c)) return true;
    if (this.#database.clock - record.at < abandonedMs) return false;
    await this.#write(draft, name, { c, m: record.id, o: record.o, k: 0, g: "", p: record.p });
    return true;
  }

  /**
   * Appends a message of several feeds to each feed that does not have it. Resolves to its numbers, with 0 for a feed that
   * has another entry under its deduplication key.
   */
  async #writeFromRecord(draft: Draft, record: IdempotencyRecord): Promise<number[]> {
    const { e: content, tenant, to } = record;
    if (!content) return [];
    const outcomes = await Promise.all(to.map((name) => this.#write(draft, name, content, undefined, tenant)));
    this.#marks.add(record);
    return outcomes.map((outcome) => ("seq" in outcome ? outcome.seq : 0));
  }

  async #readEntry(tenant: string, name: string, c: string): Promise<EntryDocument | undefined> {
    const filter = { f: feedName({ tenant, name }), c };
    const [entry] = await this.#database.find<EntryDocument>("entries", filter, { projection: { d: 0 } });
    return entry;
  }

  #write(
    { message, expired }: Draft,
    name: string,
    content: EntryContent,
    record?: IdempotencyRecord,
    tenant = message.tenant,
  ): Promise<EntryOutcome> {
    return this.#writer.append(feedName({ tenant, name }), content, record, expired);
  }

  #stored({ message }: Draft, seqs: readonly number[], replaced?: readonly MessageLocation[]): AppendResult {
    const { id, publishTime } = message;
    this.#onStored(message, seqs);
    return { outcome: "stored", id, publishTime, epoch: this.#epoch, seqs, ...(replaced ? { replaced } : {}) };
  }

  #duplicate(id: string, publishTime: number): AppendResult {
    return { outcome: "duplicate", id, publishTime, epoch: this.#epoch, seqs: [] };
  }
}

/** Reports whether a key is free again when this message comes. */
function isFree(
  { x = Number.POSITIVE_INFINITY }: IdempotencyRecord,
  { publishTime, keyTime = publishTime }: Append,
): boolean {
  return x <= keyTime;
}

/** The content of the entry of a message of one feed, under a deduplication key. */
function singleContentOf({ message, order }: Draft, c: string): EntryContent {
  const content = { ...contentOf(message, order, c), d: message.body };
  return message.key === "" ? content : { ...content, q: recordNameOf(message) };
}

/** The deduplication key of the entries of a record's message. */
function entryKeyOf(record: IdempotencyRecord): string {
  return record.to.length > 1 ? messageRecordName(record.id) : dedupKey(record);
}

/** Splits the messages of a call before each repeated key, because keys are checked one by one. */
function roundsOf(messages: readonly Append[]): Append[][] {
  const rounds: Append[][] = [[]];
  let keys = new Set<string>();
  for (const message of messages) {
    const name = message.key === "" ? undefined : keyRecordName(message.tenant, message.key);
    if (name !== undefined && keys.has(name)) {
      rounds.push([]);
      keys = new Set();
    }
    if (name !== undefined) keys.add(name);
    rounds.at(-1)?.push(message);
  }
  return rounds;
}
