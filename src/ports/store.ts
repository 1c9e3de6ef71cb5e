/**
 * ② Port Store: the truth. Durable feeds, and one small document of read state per user.
 *
 * The law, held by src/testing/store.ts for every adapter:
 * - When `append`, `saveReadState` or `recall` has resolved, its effect is durable (fsync, or written to a majority), and
 *   every later call on every node sees it. After a rejection the effect is unknown: it may be there now, appear later, or
 *   never. Repeating the call under the same key, version or ids is safe.
 * - Per feed `seq` grows by exactly one, from 1. Once n is readable, nothing at or below n appears later.
 * - Nothing is readable that is not durable.
 * - A key stands for one message for as long as that message lives, and for ten minutes at least.
 * - A feed keeps its newest messages up to a number that the store is made with; older seqs are below its `tail`, and no
 *   method returns them. Recalled and expired messages count towards that number.
 * - A message is expired from its `expireTime` on, exactly. The caller says what time it is.
 * - Between `open` and `close`, a method rejects with STORE_UNAVAILABLE when it cannot answer, and with nothing else.
 *   Before `open` has resolved, only `close` may be called; after `close`, every other method rejects.
 */

/** How long a key is held at least, in ms, even if its message expires or is trimmed before: a retry may be late. */
export const keyLifetimeMs = 600_000;

/** A seq above every seq that a feed can have. */
export const unbounded = Number.MAX_SAFE_INTEGER;

/** The number of tidings.v1.KIND_NOTIFICATION, the kind that `countNotifications` counts. */
export const notificationKind = 1;

/** How much longer than other calls an `append` may take, in ms for each feed of each of its messages. */
export const perFeedMs = 2;

/** A feed: an append-only, ordered log. The feed of all tenants belongs to the tenant "". */
export interface FeedKey {
  readonly tenant: string;
  /** `user/<id>`, `tenant`, `activity`, `everyone` or `room/<id>`; opaque to adapters. */
  readonly name: string;
}

/** Where a feed begins and ends. A feed that was never written to is empty. */
export interface FeedBounds {
  /**
   * Changes when feeds are rebuilt, such as from an older backup: seqs of different epochs cannot be compared. At least 1,
   * and the same for all feeds of a store.
   */
  readonly epoch: number;
  /** The last seq that was given out; 0 in an empty feed. */
  readonly seq: number;
  /** The oldest seq that retention has kept; `seq` + 1 if it has kept none. */
  readonly tail: number;
}

/** What lists filter and count by. Empty strings mean none. */
export interface Facets {
  /** A number of tidings.v1.Kind. */
  readonly kind: number;
  readonly category: string;
  readonly actorId: string;
  readonly objectType: string;
  readonly objectId: string;
  readonly batchId: string;
  /** In ms since the Unix epoch. It need not ascend within a feed, for clocks of publishers differ. */
  readonly publishTime: number;
  /** In ms since the Unix epoch; Infinity for never. */
  readonly expireTime: number;
}

/** One message to append to one or more feeds of one tenant. */
export interface Append extends Facets {
  readonly tenant: string;
  /** The message's UUID, in lower case. */
  readonly id: string;
  /** Names of feeds, each once. Without any, only the key is kept, so that a retry is recognised. */
  readonly feeds: readonly string[];
  /** An encoded tidings.v1.Message without position and read flag; stored once, however many feeds. */
  readonly body: Uint8Array;
  /** The idempotency key, unique within the tenant; "" for none. */
  readonly key: string;
  /** A digest of the content, compared with that of an earlier message under the key. */
  readonly digest: string;
  /**
   * The time at which an earlier message must have given the key up, in ms since the Unix epoch. At most `publishTime`, its
   * default: a publisher whose clock has just jumped still goes by the time before.
   */
  readonly keyTime?: number;
  /**
   * If another message holds the key, recalls that message whatever its digest, and gives the key to this one. Never set
   * without a key.
   */
  readonly replace: boolean;
}

/** The result of one Append. */
export type AppendResult =
  | {
      /** `duplicate`: an earlier message with the same digest holds the key, and nothing was stored. */
      readonly outcome: "stored" | "duplicate";
      /** The id of the message that holds the key: for a duplicate, the earlier one. */
      readonly id: string;
      /** The publish time of that message. */
      readonly publishTime: number;
      readonly epoch: number;
      /** One seq per feed, in the order given; empty for a duplicate. */
      readonly seqs: readonly number[];
      /** Where readers could see the message that this one replaced, if it did. */
      readonly replaced?: readonly MessageLocation[];
    }
  /** An earlier message with another digest holds the key, and nothing was stored. */
  | { readonly outcome: "conflict" };

/** One message in one feed. */
export interface Entry extends Facets {
  readonly epoch: number;
  readonly seq: number;
  readonly id: string;
  readonly body: Uint8Array;
}

/** A part of a feed, oldest first, without recalled and expired messages. */
export interface FeedSlice {
  readonly bounds: FeedBounds;
  readonly entries: readonly Entry[];
  /**
   * The slice is complete up to this seq, which is never below the `after` of the call, and never beyond the feed's end
   * unless `after` is.
   */
  readonly through: number;
}

/** Runs of seqs, both ends included, ascending and disjoint. */
export type SeqRanges = readonly (readonly [from: number, to: number])[];

/** Which entries of one feed to select. All conditions have to hold; empty lists and strings let everything through. */
export interface Selection {
  readonly feed: FeedKey;
  /** Seqs to select from. Without any, nothing is selected. */
  readonly ranges: SeqRanges;
  readonly kinds: readonly number[];
  /** In a list, "" stands for messages without a category. */
  readonly categories: readonly string[];
  readonly actorId: string;
  readonly objectType: string;
  readonly objectId: string;
  readonly batchId: string;
  /** The earliest publish time, included. */
  readonly startTime: number;
  /** The latest publish time, excluded. */
  readonly endTime: number;
  /** Messages that are expired at this time are left out, or, with `expired`, all others. */
  readonly now: number;
  readonly expired: boolean;
  readonly order: "newest" | "oldest";
  /** False: `body` of the entries is empty, for a caller that only needs to know which they are. */
  readonly bodies: boolean;
  /** The most entries to select, over all ranges. */
  readonly limit: number;
}

/** How many notifications lie in some ranges of some feeds. */
export interface NotificationCount {
  /**
   * Counts by category, "" included; a category without messages is left out. Categories of a feed come before those that
   * only later feeds have, in the order given.
   */
  readonly byCategory: ReadonlyMap<string, number>;
  /** The earliest time at which a counted message expires; Infinity for never. */
  readonly nextExpiry: number;
  /** Per feed, in the order given, the oldest seq that was counted; Infinity for none. */
  readonly oldest: readonly number[];
  /** The bounds of the feeds, in the order given. The count is exact at these: later messages are not in it. */
  readonly bounds: readonly FeedBounds[];
  /**
   * What is not counted yet, per feed, in the order given: a store that other calls would wait for may count a part, newest
   * messages first, and leave the rest to further calls. Left out, or empty for each feed, when all is counted.
   */
  readonly rest?: readonly SeqRanges[];
}

/** Where a message lies, once per feed. */
export interface MessageLocation {
  readonly id: string;
  readonly feed: FeedKey;
  readonly seq: number;
  readonly kind: number;
  readonly category: string;
  readonly expireTime: number;
}

/** Where readers could see a message that was recalled. */
export interface Recalled extends Pick<MessageLocation, "id" | "feed" | "seq"> {
  /** An earlier call recalled it. Its caller may have got no answer, and announced nothing. */
  readonly again: boolean;
}

/** A user's read state as it is stored. */
export interface StoredReadState {
  /** Grows by one with each save; 0 means never saved. */
  readonly version: number;
  /** Opaque to adapters; "" at version 0. It can have hundreds of kilobytes. */
  readonly json: string;
}

/** A page of a batch. */
export interface BatchPage {
  /** Newest first. A message in several feeds has one entry for each, next to each other. */
  readonly entries: readonly (Entry & { readonly feed: FeedKey })[];
  /** The page cursor that continues after the last entry, opaque to callers; "" on the last page. */
  readonly next: string;
}

/** What a tenant has in a store, about. */
export interface TenantUsage {
  /** Bytes of the bodies of its messages, each counted once, in however many feeds it is. */
  readonly bytes: number;
  /** Feeds to which anything was ever appended. */
  readonly feeds: number;
}

/** The feeds of a store. */
export interface FeedLog {
  /**
   * Appends messages in the order given, and resolves to their results in that order. Keys are checked one by one, so that
   * two messages of one call can have the same key. After a rejection some messages may be stored, and a message may be in
   * some of its feeds: repeating the call under the same keys completes what is missing and duplicates nothing. A message
   * that has to wait for an earlier one under its key may come after later messages of the call.
   */
  append(messages: readonly Append[]): Promise<readonly AppendResult[]>;
  /** Resolves to the bounds of feeds, in the order given; the same feed may be named twice. */
  bounds(feeds: readonly FeedKey[]): Promise<readonly FeedBounds[]>;
  /**
   * Reads the messages after the seq `after` up to `upTo`, without those expired at `now`: at most `limit`, and fewer if
   * they are large, but never none while there are some. Messages that are left out do not count towards the limit.
   */
  read(feed: FeedKey, after: number, upTo: number, limit: number, now: number): Promise<FeedSlice>;
  /**
   * Removes messages of a tenant from all their feeds. Their seqs are not used again, and their keys stay taken. Ids may
   * be in any case, repeated or malformed; unknown ones are ignored. Resolves to where readers could see the messages, each
   * location once, with ids in lower case. A repetition resolves to the same locations with `again`, for as long as
   * retention would keep the messages.
   */
  recall(tenant: string, ids: readonly string[]): Promise<readonly Recalled[]>;
  /**
   * Deletes, of all tenants, messages that were published before `before`, as far as they are the oldest of their feeds,
   * and messages that are expired at `now`. Each call is one small step: it resolves to the number of messages, and of keys
   * that outlived their messages, that it deleted, and 0 when nothing is left. `before` is at least `keyLifetimeMs` ago.
   */
  trim(before: number, now: number): Promise<number>;
}

/** Queries of the inbox. */
export interface InboxIndex {
  /** Resolves to the selected entries of one feed, in the order asked for. */
  select(selection: Selection): Promise<readonly Entry[]>;
  /**
   * Lists the messages of a tenant's batch in all feeds, at most `limit` entries, without those expired at `now`.
   * `after` is "" or the `next` of the page before. Messages that are appended or recalled meanwhile neither repeat nor
   * hide others.
   */
  batch(tenant: string, batchId: string, after: string, limit: number, now: number): Promise<BatchPage>;
  /** Counts the notifications in ranges of feeds that are not expired at `now`. No feed is named twice. */
  countNotifications(
    feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[],
    now: number,
  ): Promise<NotificationCount>;
  /**
   * Finds messages within the given feeds, expired ones included. Ids may be in any case, repeated or malformed. Resolves
   * to each location once, in no particular order; ids that are not found are left out.
   */
  find(feeds: readonly FeedKey[], ids: readonly string[]): Promise<readonly MessageLocation[]>;
  /** Resolves to a user's read state. */
  readState(tenant: string, user: string): Promise<StoredReadState>;
  /**
   * Saves a read state by compare-and-set: only if the stored version is `state.version` - 1. Resolves to whether it did;
   * of several savers of one version, exactly one gets true.
   */
  saveReadState(tenant: string, user: string, state: StoredReadState): Promise<boolean>;
}

/** One durable write of an adapter. */
export interface Commit {
  /** How many messages it appended together; 0 for a write of read states alone. */
  readonly messages: number;
  /** How long it took, in seconds. */
  readonly seconds: number;
}

/** Called after every durable write of an adapter, for operators. It must not throw. */
export type CommitListener = (commit: Commit) => void;

/** What a store returns when it is opened. */
export interface StoreInfo {
  /** 32 random bytes that were made with the store, and are the same on every node. They sign page tokens. */
  readonly secret: Uint8Array;
  /**
   * How long a call can take before it is rejected, in ms; an append takes up to `perFeedMs` longer for each feed.
   * Undefined for a store that is a part of this process, and so is never away.
   */
  readonly timeoutMs?: number;
}

/** Whether a store can be used. */
export interface StoreHealth {
  /** `unusable` may pass. `failed` does not: only another process can use the store again. */
  readonly state: "usable" | "unusable" | "failed";
  /** Why the store is not usable, in words for operators; "" while it is. */
  readonly reason: string;
}

/** Values of a store for operators, each since it was opened. A store leaves out what it does not know. */
export interface StoreFigures {
  /** Entries of feeds that retention by count has deleted. */
  readonly trimmed?: number;
  /** Entries that retention by count has hidden from readers and not deleted yet, estimated. */
  readonly untrimmed?: number;
  /** Time spent on deleting them, in seconds. */
  readonly trimSeconds?: number;
  /** Size of the write-ahead log, in bytes. */
  readonly walBytes?: number;
  /** Attempts to write the log into the database that failed. */
  readonly checkpointFailures?: number;
  /** Times that a part of the store died and was started again. */
  readonly restarts?: number;
}

/** The port. */
export interface Store extends FeedLog, InboxIndex {
  /**
  /**
   * Calls `listener` with the health of the store, now and whenever it changes, until the returned function is called.
   * A store without this method is usable whenever it answers. The listener must not throw.
   */
  watch?(listener: (health: StoreHealth) => void): () => void;
  /**
   * Resolves to the time of the store's own clock at some moment of the call, in ms since the Unix epoch. Where nodes share a
   * store, they go by its clock. A store without this method is a part of this process, and has no clock of its own.
   */
  now?(): Promise<number>;
  /**
   * Resolves to what a tenant has, for quotas. It may be some seconds behind, and lack what is still being counted for a
   * while after the store was opened; it never costs a call of `append` more than before. A store without this method has
   * no quotas.
   */
  usage?(tenant: string): Promise<TenantUsage>;
  /** Returns values for operators. */
  figures?(): StoreFigures;
  /**
   * Opens, checks, locks and migrates the store; it is called once. Rejects with any error if another process holds a store
   * that only one may have, if the store is damaged or of a newer version, or if it is away for too long.
   */
  open(): Promise<StoreInfo>;
  /** Waits for the calls in flight, then closes. Later calls are rejected with STORE_UNAVAILABLE. */
  close(): Promise<void>;
}

/** The time from which on another message may have the key of this one, in ms since the Unix epoch. */
export function keyExpiry({ publishTime, expireTime }: Pick<Facets, "publishTime" | "expireTime">): number {
  return Math.max(expireTime, publishTime + keyLifetimeMs);
}
