/**
 * The documents of collection `entries` and their names. An entry is a message in a feed; an idempotency record holds a
 * key, the body of a message of several feeds, or both. Fields have one letter, because every document repeats them.
 *
 * Shard key of `entries`: `{ f: 1 }`, so that a feed lies on one shard, and a query of a feed asks that shard alone.
 * Retention bounds what a feed, and so a shard, can hold.
 */
import type { Append, FeedKey, MessageLocation } from "../../ports/store.ts";

/** Digits of a stamp: 1000 stamps a millisecond, and safe integers until the year 2255. */
const stampDigits = 16;

/** The fields that all documents of `entries` have. */
interface Slot {
  /** Name of the feed, or of the record: see feedName, keyRecordName and messageRecordName. */
  readonly f: string;
  /** Number in the feed, from 1; 0 for a record. Unique with `f`: the first writer of a number has it. */
  readonly s: number;
  /** Publish time. The last slot of a feed loses it once it is too old, so that trimming does not find it again. */
  readonly p?: number;
  /** Expire time; absent for never. */
  readonly x?: number;
}

/** An entry without its slot. */
export interface EntryContent {
  /** Deduplication key, unique with `f`: see messageRecordName and dedupKey. */
  readonly c: string;
  /** Id of the message. */
  readonly m: string;
  /** Order of arrival: see createStamps. */
  readonly o: string;
  /** Kind; 0 for a tombstone, and -1 for the tombstone of a recall. */
  readonly k: number;
  /** Category. */
  readonly g: string;
  readonly p: number;
  readonly x?: number;
  /** Actor, type and id of the object, and batch: absent for none, so that partial indexes stay small. */
  readonly a?: string;
  readonly y?: string;
  readonly i?: string;
  readonly b?: string;
  /** Body of a message of one feed. */
  readonly d?: Uint8Array;
  /** Of a message of several feeds: name of the record that has the body, and the size of the body. */
  readonly r?: string;
  readonly z?: number;
  /** Of a message of one feed with a key: name of the record that holds the key. */
  readonly q?: string;
}

/** One message in one feed. */
export interface EntryDocument extends Slot, Omit<EntryContent, "p" | "x"> {}

/** Holds a key, the body of a message of several feeds, or both, in slot 0 of a name of its own. */
export interface IdempotencyRecord extends Slot {
  /** Id of the message that made the record. */
  readonly id: string;
  readonly tenant: string;
  /** Digest of the content under the key. */
  readonly h: string;
  /** Order of arrival: unique, and a new one whenever the key goes to another message. */
  readonly o: string;
  /** When it was made, by the clock of the database, in ms since the Unix epoch. */
  readonly at: number;
  readonly p: number;
  /** Of a key: from when on another message may have it, in ms since the Unix epoch. */
  readonly x?: number;
  /** Names of the feeds. */
  readonly to: readonly string[];
  /** Of a message of several feeds: its entries and its body, so that any node can complete a partial append. */
  readonly e?: EntryContent;
  readonly d?: Uint8Array;
  /** All feeds have their entries. */
  readonly done?: true;
  /** The message was recalled: the key answers with it, and no repetition may append it again. */
  readonly gone?: { readonly id: string; readonly p: number };
}

/**
 * Name of a feed in `entries` and `feeds`. The length marks the end of the tenant, so that no two feeds share a name.
 */
export function feedName({ tenant, name }: FeedKey): string {
  return `f${tenant.length}.${tenant}.${name}`;
}

/** The reverse of feedName. */
export function feedOf(f: string): FeedKey {
  const dot = f.indexOf(".");
  const end = dot + 1 + Number(f.slice(1, dot));
  return { tenant: f.slice(dot + 1, end), name: f.slice(end + 1) };
}

/** Name of the record of a key. */
export function keyRecordName(tenant: string, key: string): string {
  return `k${tenant.length}.${tenant}.${key}`;
}

/**
 * Name of the record that holds the body of a message without a key. Also the deduplication key of all entries but those
 * of a message of one feed with a key.
 */
export function messageRecordName(id: string): string {
  return `m${id}`;
}

/**
 * Deduplication key of the entry of a message of one feed with a key. Each message that gets the key has a record with
 * an order of its own, so that a late entry of one message is never taken for the entry of another, and never blocks it.
 */
export function dedupKey(record: Pick<IdempotencyRecord, "o">): string {
  return `k${record.o}`;
}

/** The order of the record that a deduplication key was made of: the reverse of dedupKey. */
export function orderOf(key: string): string {
  return key.slice(1);
}

/** Name of a tenant's batch. */
export function batchName(tenant: string, batchId: string): string {
  return `${tenant.length}.${tenant}.${batchId}`;
}

/** The reverse of batchName, without the tenant. */
export function batchIdOf(b: string): string {
  const dot = b.indexOf(".");
  return b.slice(dot + 1 + Number(b.slice(0, dot)) + 1);
}

/** The content of a message's entries, without the body. `order`: a stamp; `c`: the deduplication key. */
export function contentOf(message: Append, order: string, c: string): EntryContent {
  const { tenant, id, kind, category, publishTime, expireTime, actorId, objectType, objectId, batchId } = message;
  return {
    c,
    m: id,
    o: order,
    k: kind,
    g: category,
    p: publishTime,
    ...(expireTime === Number.POSITIVE_INFINITY ? {} : { x: expireTime }),
    ...(actorId ? { a: actorId } : {}),
    ...(objectType ? { y: objectType } : {}),
    ...(objectId ? { i: objectId } : {}),
    ...(batchId ? { b: batchName(tenant, batchId) } : {}),
  };
}

/** The location of an entry. */
export function locationOf(entry: Pick<EntryDocument, "f" | "s" | "m" | "k" | "g" | "x">): MessageLocation {
  const { f, s, m, k, g, x = Number.POSITIVE_INFINITY } = entry;
  return { id: m, feed: feedOf(f), seq: s, kind: k, category: g, expireTime: x };
}

/**
 * Makes the stamps of one node: a stamp is an order of arrival. Those of a node ascend, those of several nodes are
 * ordered by the database's clock, and the message's id makes each of them unique.
 */
export function createStamps(database: { readonly clock: number }): (id: string) => string {
  let last = 0;
  return (id) => {
    last = Math.max(last + 1, database.clock * 1000);
    return `${String(last).padStart(stampDigits, "0")}${id}`;
  };
}

/** The lowest stamp of a time, in ms since the Unix epoch. */
export function stampAt(time: number): string {
  return String(Math.max(0, Math.floor(time * 1000))).padStart(stampDigits, "0");
}
