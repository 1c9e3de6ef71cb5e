/**
 * ② Port Store: the truth. Durable feeds, and one small document of read state per user.
 *
 * The law, held by test/ports/store.ts for every adapter:
 * - An answer of `append`, `saveReadState` or `recall` means durable (fsync, or majority write); a rejection means that
 *   nothing is known, and a repetition under the same key is safe.
 * - Per feed `seq` grows by exactly one. Once n is readable, nothing at or below n appears later.
 * - Nothing that is not durable is ever readable.
 * - One key gives one message for as long as the message lives, and ten minutes at least.
 */

/** A key holds so long, in ms, though its message expires or is trimmed before: a retry may be late. */
export const keyLifetimeMs = 600_000;

/** A seq above every seq that a feed can have. */
export const unbounded = Number.MAX_SAFE_INTEGER;

/** The number of tidings.v1.KIND_NOTIFICATION, the kind that `countNotifications` counts. */
export const notificationKind = 1;

/** How much longer than others a call may take that appends, in ms for each feed of each of its messages. */
export const perFeedMs = 2;

/** A feed: an append-only, ordered log. Everyone's feed belongs to the tenant "". */
export interface FeedKey {
  readonly tenant: string;
  /** `user/<id>`, `tenant`, `activity`, `everyone` or `room/<id>`. */
  readonly name: string;
}

/** Where a feed begins and ends. */
export interface FeedBounds {
  /** The life of the feed; another one means that the feed was rebuilt. */
  readonly epoch: number;
  /** The last seq given out; 0 in a feed without messages. */
  readonly seq: number;
  /** The oldest seq that retention has kept. */
  readonly tail: number;
}

/** What lists filter and count by. Times are milliseconds since the Unix epoch; empty strings mean none. */
export interface Facets {
  /** A number of tidings.v1.Kind. */
  readonly kind: number;
  readonly category: string;
  readonly actorId: string;
  readonly objectType: string;
  readonly objectId: string;
  readonly batchId: string;
  readonly publishTime: number;
  /** Infinity: never. */
  readonly expireTime: number;
}

/** One message to append to one or more feeds of one tenant. */
export interface Append extends Facets {
  readonly tenant: string;
  /** UUID of the message. */
  readonly id: string;
  /** Names of feeds, each once. None: only the key is kept, so that a retry is recognised. */
  readonly feeds: readonly string[];
  /** Encoded tidings.v1.Message without position and read flag; stored once, however many feeds. */
  readonly body: Uint8Array;
  /** Idempotency key, unique within the tenant; "" for none. */
  readonly key: string;
  /** Digest of the content under the key. */
  readonly digest: string;
  /** A message that holds the key is taken back as by `recall`, whatever its digest, and this one gets the key. */
  readonly replace: boolean;
}

/** What became of one Append. */
export type AppendResult =
  | {
      readonly outcome: "stored" | "duplicate";
      /** The message that holds the key: an earlier one for a duplicate. */
      readonly id: string;
      readonly publishTime: number;
      /** Epoch of the feeds. */
      readonly epoch: number;
      /** One per feed, in the order given; of a duplicate, empty. */
      readonly seqs: readonly number[];
      /** Where the message lay that this one took the place of. */
      readonly replaced?: readonly MessageLocation[];
    }
  /** The key holds a message with another digest; nothing was stored. */
  | { readonly outcome: "conflict" };

/** One message in one feed. */
export interface Entry extends Facets {
  readonly epoch: number;
  readonly seq: number;
  readonly id: string;
  readonly body: Uint8Array;
}

/** A stretch of a feed, oldest first. Entries that were recalled or have expired are left out. */
export interface FeedSlice {
  readonly bounds: FeedBounds;
  readonly entries: readonly Entry[];
  /** The stretch is complete up to here. */
  readonly through: number;
}

/** Inclusive runs of seqs, ascending and disjoint. */
export type SeqRanges = readonly (readonly [from: number, to: number])[];

/** Entries of one feed. Empty lists and strings let everything through. */
export interface Selection {
  readonly feed: FeedKey;
  readonly ranges: SeqRanges;
  readonly kinds: readonly number[];
  readonly categories: readonly string[];
  readonly actorId: string;
  readonly objectType: string;
  readonly objectId: string;
  readonly batchId: string;
  /** Published at or after. */
  readonly startTime: number;
  /** Published before. */
  readonly endTime: number;
  /** Expired at this time means not there; `expired: true` turns it round. */
  readonly now: number;
  readonly expired: boolean;
  readonly order: "newest" | "oldest";
  /** Without them, `body` is empty: for who only needs to know which. */
  readonly bodies: boolean;
  readonly limit: number;
}

/** How many notifications lie in some ranges of some feeds. */
export interface NotificationCount {
  readonly byCategory: ReadonlyMap<string, number>;
  /** The earliest time at which one of them expires; Infinity for never. */
  readonly nextExpiry: number;
  /** Per feed, in the order given, the oldest seq that is counted; Infinity for none. */
  readonly oldest: readonly number[];
  /** Heads of the feeds, in the order given: the tally is exact up to these. */
  readonly bounds: readonly FeedBounds[];
}

/** Where a message lies. */
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
  /** An earlier recall took it out; whoever asked for that may have got no answer, and told nobody. */
  readonly again: boolean;
}

/** A user's read state as stored: opaque to adapters. */
export interface StoredReadState {
  /** Grows by one with each save; 0 means never saved. */
  readonly version: number;
  readonly json: string;
}

/** A page of a batch. */
export interface BatchPage {
  /** Newest first; a message for several users is there once per feed. */
  readonly entries: readonly (Entry & { readonly feed: FeedKey })[];
  /** Continues after the last entry; "" when there are no more. */
  readonly next: string;
}

/** The feeds. */
export interface FeedLog {
  /**
   * Appends in the order given; keys are checked one by one. After a rejection some of the messages may be stored, and a
   * message may be in some of its feeds: a repetition under the same keys completes what is missing and doubles nothing.
   * What an earlier message of the key delays may come after later ones of the call.
   */
  append(messages: readonly Append[]): Promise<readonly AppendResult[]>;
  /** Heads of feeds, in the order given. */
  bounds(feeds: readonly FeedKey[]): Promise<readonly FeedBounds[]>;
  /** What lies after `after` up to `upTo`, at most `limit` entries, without those expired at `now`. */
  read(feed: FeedKey, after: number, upTo: number, limit: number, now: number): Promise<FeedSlice>;
  /**
   * Takes messages of a tenant out of every feed; answers where readers could see them, ids in lower case. Their keys stay
   * taken. A repetition answers the same places, as long as retention would keep the messages.
   */
  recall(tenant: string, ids: readonly string[]): Promise<readonly Recalled[]>;
  /**
   * Drops, step by step, what is older than `before`, which is further back than keys hold, and what expired before `now`.
   * Answers how many messages, or keys of messages that went before, went.
   */
  trim(before: number, now: number): Promise<number>;
}

/** Questions of the inbox. */
export interface InboxIndex {
  /** Entries of one feed, in the order asked for. */
  select(selection: Selection): Promise<readonly Entry[]>;
  /** Messages of a tenant's batch in whatever feed, without those expired at `now`; `after` is "" or the `next` of the page before. */
  batch(tenant: string, batchId: string, after: string, limit: number, now: number): Promise<BatchPage>;
  /** Counts live notifications; no feed has its ranges in two places. */
  countNotifications(
    feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[],
    now: number,
  ): Promise<NotificationCount>;
  /** Where messages lie within some feeds, each place once; ids that are not there are left out. */
  find(feeds: readonly FeedKey[], ids: readonly string[]): Promise<readonly MessageLocation[]>;
  /** A user's read state. */
  readState(tenant: string, user: string): Promise<StoredReadState>;
  /** Saves version `state.version` if the stored one is its predecessor; answers whether it did. */
  saveReadState(tenant: string, user: string, state: StoredReadState): Promise<boolean>;
}

/** One durable write: how many messages it appended together, and how long it took. */
export interface Commit {
  readonly messages: number;
  readonly seconds: number;
}

/** Told of every durable write of an adapter, for operators. Must not throw. */
export type CommitListener = (commit: Commit) => void;

/** What a store knows of itself. */
export interface StoreInfo {
  /** 32 random bytes made with the store, the same on every node: signs page tokens. */
  readonly secret: Uint8Array;
  /**
   * After so long without an answer a call is rejected, in ms; an append after `perPlaceMs` more per place. None: the store
   * is a part of this process, and so is never away.
   */
  readonly timeoutMs?: number;
}

/** The port. */
export interface Store extends FeedLog, InboxIndex {
  /** Opens, checks, locks and migrates. Throws when another process has it, or when it is damaged. */
  open(): Promise<StoreInfo>;
  /** Waits for what is under way, then closes. */
  close(): Promise<void>;
}

/** From when on another message may have the key, in ms since the Unix epoch. */
export function keyExpiry({ publishTime, expireTime }: Pick<Facets, "publishTime" | "expireTime">): number {
  return Math.max(expireTime, publishTime + keyLifetimeMs);
}
