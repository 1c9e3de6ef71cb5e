import { ConnectError } from "@connectrpc/connect";
import { fail, reasonOf } from "../errors.ts";
import type { Bus, DisconnectNotice } from "../ports/bus.ts";
import { type Clock, elapsedOn } from "../ports/clock.ts";
import type { Store } from "../ports/store.ts";
import { dayMs } from "../util/durations.ts";
import { joinKey, tenantKey } from "../util/keys.ts";
import { LruCache } from "../util/lru.ts";
import { type Identity, isUser, type UserIdentity } from "./identity.ts";

/** A block, a disconnection, or both. Times are in ms since the Unix epoch. */
interface Block {
  /** When the block ends; 0 for a disconnection without a block. */
  readonly until: number;
  readonly reason: string;
  /** When the streams were last disconnected: every stream opened at or before this time must end. */
  readonly cut?: number;
}

/** The blocks of one user by token id; "" is the block of all tokens of the user. */
type UserBlocks = Readonly<Record<string, Block>>;

interface CachedBlocks {
  readonly blocks: UserBlocks;
  readonly at: number;
  /** The length of the document. */
  readonly characters: number;
}

/** Lifetime of a cache entry, in ms: a node that missed a notice learns of the block after this time. */
const staleMs = 5_000;
/** Limits of the cache. Few entries are enough, since each lives for seconds; a user with many blocks is a large one. */
const maxCached = 20_000;
const maxCachedCharacters = 8 * 1024 * 1024;
/** Attempts to save a document that other nodes change at the same time. */
const maxAttempts = 20;
/** How long a disconnection is kept, in ms: a node that missed its notice finds it when it rechecks its streams. */
const cutMs = 600_000;
/** The most blocks of single tokens that one user can have at a time. */
const maxTokens = 100;
/** The longest block, in ms. */
const longestMs = 10 * 366 * dayMs;

/**
 * The blocked users and tokens: one small durable document per user, cached for a few seconds. The documents also record
 * disconnections without a block, since the notice of a disconnection may be lost.
 */
export class BlockList {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #cached = new LruCache<string, CachedBlocks>({
    entries: maxCached,
    cost: maxCachedCharacters,
    costOf: ({ characters }) => characters,
  });
  readonly #unsubscribe: () => void;
  /** Counts notices of changes, so that a document that was read before a change is not cached after it. */
  #changes = 0;

  /** `clock` has to be steady: a time that is wrong for a minute must neither end blocks nor delete them. */
  constructor(store: Store, bus: Bus, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#unsubscribe = bus.subscribe((notice) => {
      if (notice.type !== "disconnect" && notice.type !== "lost") return;
      this.#changes++;
      if (notice.type === "lost") this.#cached.clear();
      else this.#cached.delete(tenantKey(notice.tenant, notice.user));
    });
  }

  /** Throws CALLER_BLOCKED for a user who is blocked, or whose token is. Services and admins are never blocked. */
  async check(identity: Identity): Promise<void> {
    if (!isUser(identity)) return;
    const blocks = this.#known(identity) ?? (await this.#load(identity));
    if (blocks === none) return;
    const block = blocksOf(blocks, identity).find(({ until }) => until > this.#clock.now());
    if (!block) return;
    const metadata = { until: new Date(block.until).toISOString() };
    throw fail("CALLER_BLOCKED", block.reason || "the user is blocked", { metadata });
  }

  /**
   * Checks the user of a stream that was opened at `opened`, in ms since the Unix epoch, and calls `end` with
   * CALLER_BLOCKED or, after a disconnection since then, with DISCONNECTED. `opened` and the stored times may come from the
   * clocks of different nodes. When the store does not answer, the stream stays open.
   */
  async recheck(identity: Identity, opened: number, end: (error: ConnectError) => void): Promise<void> {
    if (!isUser(identity)) return;
    try {
      await this.check(identity);
      const blocks = this.#known(identity) ?? (await this.#load(identity));
      const disconnection = blocksOf(blocks, identity).find(({ cut }) => cut !== undefined && cut >= opened);
      if (disconnection) end(disconnected(disconnection.reason));
    } catch (error) {
      if (error instanceof ConnectError && reasonOf(error) === "CALLER_BLOCKED") end(error);
    }
  }

  /**
   * Records that a user, or one token of the user, was disconnected, and blocks the user or token until `until`, in ms
   * since the Unix epoch. A time in the past lifts the block; without a time an earlier block stays as it is. Throws
   * TOO_MANY_BLOCKS, and CONFLICT when other nodes keep changing the user's blocks.
   */
  async set({ tenant, user, tokenId, reason }: DisconnectNotice, until?: number): Promise<void> {
    const now = this.#clock.now();
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const { version, json } = await this.#store.readState(tenant, documentOf(user));
      const blocks = Object.entries(decode(json));
      const others = blocks.filter(([id, block]) => id !== tokenId && block.until > now);
      // The limit never refuses a block of the whole user, a disconnection, or the end of a block.
      const adds = tokenId !== "" && (until ?? 0) > now;
      if (adds && others.filter(([id]) => id !== "").length >= maxTokens) {
        throw fail("TOO_MANY_BLOCKS", "the user has too many blocked tokens; block the user", { field: "token_id" });
      }
      const before = blocks.find(([id, block]) => id === tokenId && block.until > now)?.[1];
      const block = until === undefined && before ? before : { until: until ?? 0, reason };
      const own = { ...block, until: Math.min(block.until, now + longestMs), cut: now };
      const all = [...others, ...recentCuts(blocks, tokenId, now), [tokenId, own] as const];
      const state = { version: version + 1, json: JSON.stringify(Object.fromEntries(all)) };
      if (await this.#store.saveReadState(tenant, documentOf(user), state)) return;
    }
    throw fail("CONFLICT", "other nodes keep changing the blocks of this user; repeat the request", {
      retryAfterMs: 100,
    });
  }

  /** Stops listening for notices. */
  close(): void {
    this.#unsubscribe();
  }

  /** Returns the blocks of the user that are in the cache; undefined for none that are fresh. */
  #known({ tenant, subject }: UserIdentity): UserBlocks | undefined {
    const known = this.#cached.get(tenantKey(tenant, subject));
    return known && elapsedOn(this.#clock) - known.at < staleMs ? known.blocks : undefined;
  }

  async #load({ tenant, subject }: UserIdentity): Promise<UserBlocks> {
    const at = elapsedOn(this.#clock);
    const changes = this.#changes;
    const { json } = await this.#store.readState(tenant, documentOf(subject));
    const blocks = decode(json);
    // A notice arrived during the read, which may have returned the document before the change: do not cache it.
    if (changes !== this.#changes) return blocks;
    this.#cached.set(tenantKey(tenant, subject), { blocks, at, characters: json.length });
    return blocks;
  }
}

/** Returns the block of all tokens of the user and the block of this token, as far as they exist. */
function blocksOf(blocks: UserBlocks, { tokenId }: UserIdentity): readonly Block[] {
  // The id of a token may be `constructor`, which every object inherits: only own members are blocks.
  return ["", tokenId].flatMap((id) => (Object.hasOwn(blocks, id) ? [blocks[id] as Block] : []));
}

/** The key of a user's blocks among the read states. It has a control character, which no user id has: they never clash. */
function documentOf(user: string): string {
  return joinKey("block", user);
}

/** Returns the disconnections of the last ten minutes that come without a block, at most the latest `maxTokens`. */
function recentCuts(blocks: readonly (readonly [string, Block])[], except: string, now: number) {
  const cuts = blocks.filter(([id, { until, cut = 0 }]) => id !== except && until <= now && cut > now - cutMs);
  return cuts.toSorted(([, a], [, b]) => (b.cut ?? 0) - (a.cut ?? 0)).slice(0, maxTokens);
}

/** Returns the error that ends a disconnected stream. */
export function disconnected(reason: string): ConnectError {
  return fail("DISCONNECTED", reason || "the user's streams were ended");
}

/** The blocks of a user without any: of nearly all users. */
const none: UserBlocks = {};

function decode(json: string): UserBlocks {
  return json === "" ? none : (JSON.parse(json) as UserBlocks);
}
