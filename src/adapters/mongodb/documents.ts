import type { Append, FeedKey } from "../../ports/store.ts";

/** Digits of a stamp: 1000 a millisecond, safe integers until the year 2255. */
const stampDigits = 16;

/**
 * What all documents of collection `entries` share. Shard key of `entries`: `{ f: 1 }`, so that a feed lies on one shard
 * (retention bounds its size), and a question about a feed goes to that shard alone.
 */
interface Slot {
  /** Name of the feed, or of the claim: see feedName, keyName and bodyName. */
  readonly f: string;
  /** Number in the feed, from 1; 0 for a claim. Unique with `f`: who inserts a number first has it. */
  readonly s: number;
  /** Publish time; the last slot of a feed loses it when it is too old, so that trimming does not find it again. */
  readonly p?: number;
  /** Expire time; absent for never. */
  readonly x?: number;
}

/** What an entry carries, wherever it will lie. */
export interface Content {
  /** What the entry is there once for, unique with `f`: the message, or the claim of its key. */
  readonly c: string;
  /** Id of the message. */
  readonly m: string;
  /** Order of arrival: see createStamps. */
  readonly o: string;
  /** Kind; 0 for an emptied slot, which only keeps its number taken, and -1 for one that was emptied by a recall. */
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
  /** Of a message of several feeds: name of the claim that has the body, and the size of that. */
  readonly r?: string;
  readonly z?: number;
  /** Of a message of one feed with a key: name of the claim that holds the key. */
  readonly q?: string;
}

/** One message in one feed. */
export interface EntryDocument extends Slot, Omit<Content, "p" | "x"> {}

/**
 * Holds a key, the body of a message of several feeds, or both: a slot 0 of a name of its own, so that it can be inserted
 * by the same ordered command as the entry, and before it.
 */
export interface ClaimDocument extends Slot {
  /** Id of the message that made the claim. */
  readonly id: string;
  readonly tenant: string;
  /** Digest of the content under the key. */
  readonly h: string;
  /** Order of arrival; unique, and another one whenever the key goes to another message. */
  readonly o: string;
  /** When it was made, by its maker's clock, in milliseconds since the Unix epoch. */
  readonly at: number;
  readonly p: number;
  /** Of a claim of a key: when the key is free again. */
  readonly x?: number;
  /** Names of the feeds. */
  readonly to: readonly string[];
  /** Of a message of several feeds: what its entries carry, and the body, so that anyone can finish a half-done append. */
  readonly e?: Content;
  readonly d?: Uint8Array;
  /** Entries are in all feeds. */
  readonly done?: true;
  /** Recalled: the message has this id; no late retry may bring it back. */
  readonly gone?: { readonly id: string; readonly p: number };
}

/** Name of a feed in `entries` and `feeds`. The length says where the tenant ends, so no two feeds share one. */
export function feedName({ tenant, name }: FeedKey): string {
  return `f${tenant.length}.${tenant}.${name}`;
}

/** The reverse of feedName. */
export function feedOf(f: string): FeedKey {
  const dot = f.indexOf(".");
  const end = dot + 1 + Number(f.slice(1, dot));
  return { tenant: f.slice(dot + 1, end), name: f.slice(end + 1) };
}

/** Name of the claim of a key. */
export function keyName(tenant: string, key: string): string {
  return `k${tenant.length}.${tenant}.${key}`;
}

/** Name of the claim that keeps the body of a message of several feeds without a key. */
export function bodyName(id: string): string {
  return `m${id}`;
}

/**
 * What an entry under a key is there once for: the claim by its order of arrival. Each message that the key goes to has
 * another one, so that an entry which is late cannot land as another message's, and one that is left is not in the way.
 */
export function onceFor(claim: Pick<ClaimDocument, "o">): string {
  return `k${claim.o}`;
}

/** The reverse of onceFor: the order of arrival of the claim. */
export function claimedAt(once: string): string {
  return once.slice(1);
}

/** A batch of a tenant. */
export function batchName(tenant: string, batchId: string): string {
  return `${tenant.length}.${tenant}.${batchId}`;
}

/** What an entry carries of a message, without its body. */
export function contentOf(message: Append, order: string, c: string): Content {
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

/** Makes orders of arrival: ascending for one node, and by its clock among nodes; the id makes them unique. */
export function createStamps(): (id: string) => string {
  let last = 0;
  return (id) => {
    last = Math.max(last + 1, Date.now() * 1000);
    return `${String(last).padStart(stampDigits, "0")}${id}`;
  };
}

/** The least order of arrival at a time, in milliseconds since the Unix epoch. */
export function stampAt(time: number): string {
  return String(Math.max(0, Math.floor(time * 1000))).padStart(stampDigits, "0");
}
