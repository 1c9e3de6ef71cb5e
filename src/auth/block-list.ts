import { ConnectError } from "@connectrpc/connect";
import { fail, reasonOf } from "../errors.ts";
import type { Bus, DisconnectNotice } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import type { Store } from "../ports/store.ts";
import { dayMs } from "../util/durations.ts";
import { joinKey, tenantKey } from "../util/keys.ts";
import { LruCache } from "../util/lru.ts";
import { type Identity, isUser, type UserIdentity } from "./identity.ts";

/** Who is kept out, or was cut off. Times are in ms since the Unix epoch. */
interface Block {
  /** 0: not kept out. */
  readonly until: number;
  readonly reason: string;
  /** Streams that were opened before were ended, or are to be. */
  readonly cut?: number;
}

/** By token id; "" for all tokens of the user. */
type UserBlocks = Readonly<Record<string, Block>>;

/** What is known of a user is asked anew after so long, in case that a notice was lost. */
const staleMs = 5_000;
const maxRemembered = 100_000;
const maxAttempts = 20;
/** A node that did not hear of a cut finds it for so long: it asks every minute at least. */
const cutMs = 600_000;
/** Blocks of single tokens that one user can have at once. */
const maxTokens = 100;
const longestMs = 10 * 366 * dayMs;

/**
 * The block list: durable, one small document per user, and remembered for a few seconds. It has what was only cut off,
 * too, for a notice of that may be lost.
 */
export class BlockList {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #remembered = new LruCache<string, { readonly blocks: UserBlocks; readonly at: number }>({
    entries: maxRemembered,
  });
  readonly #unsubscribe: () => void;
  /** How often somebody's blocks changed. */
  #changes = 0;

  constructor(store: Store, bus: Bus, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#unsubscribe = bus.subscribe((notice) => {
      if (notice.type !== "disconnect" && notice.type !== "lost") return;
      this.#changes++;
      if (notice.type === "lost") this.#remembered.clear();
      else this.#remembered.delete(keyOf(notice));
    });
  }

  /** Throws CALLER_BLOCKED. */
  async check(identity: Identity): Promise<void> {
    if (!isUser(identity)) return;
    const block = (await this.#for(identity)).find(({ until }) => until > this.#clock.now());
    if (!block) return;
    const metadata = { until: new Date(block.until).toISOString() };
    throw fail("CALLER_BLOCKED", block.reason || "the user is blocked", { metadata });
  }

  /**
   * As `check`, of who was let in before, at `opened`, and of cuts since: `end` gets the error, CALLER_BLOCKED or
   * DISCONNECTED. Nodes compare their clocks here. A store that cannot answer ends nobody.
   */
  async recheck(identity: Identity, opened: number, end: (error: ConnectError) => void): Promise<void> {
    if (!isUser(identity)) return;
    try {
      await this.check(identity);
      const found = (await this.#for(identity)).find(({ cut }) => cut !== undefined && cut >= opened);
      if (found) end(disconnected(found.reason));
    } catch (error) {
      if (error instanceof ConnectError && reasonOf(error) === "CALLER_BLOCKED") end(error);
    }
  }

  /**
   * Cuts a user, or one token of the user, off, and keeps them out until then; a time that has passed lifts the block, and
   * without one it stays as it is. Throws CONFLICT.
   */
  async set({ tenant, user, tokenId, reason }: DisconnectNotice, until?: number): Promise<void> {
    const now = this.#clock.now();
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const { version, json } = await this.#store.readState(tenant, documentOf(user));
      const blocks = Object.entries(decode(json));
      const others = blocks.filter(([id, block]) => id !== tokenId && block.until > now);
      // A block of the whole user, a cut, and the end of a block, are always possible.
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
    throw fail("CONFLICT", "others keep changing the blocks of this user; repeat the request", { retryAfterMs: 100 });
  }

  close(): void {
    this.#unsubscribe();
  }

  /** What is about the user, and about this token. */
  async #for({ tenant, subject: user, tokenId }: UserIdentity): Promise<readonly Block[]> {
    const { "": all, [tokenId]: one } = await this.#of({ tenant, user });
    return [all, one].filter((block) => block !== undefined);
  }

  async #of(who: Who): Promise<UserBlocks> {
    const key = keyOf(who);
    const known = this.#remembered.get(key);
    const now = this.#clock.now();
    if (known && now - known.at < staleMs) return known.blocks;
    const changes = this.#changes;
    const blocks = decode((await this.#store.readState(who.tenant, documentOf(who.user))).json);
    // What was read while somebody was blocked may be what was before.
    if (changes !== this.#changes) return blocks;
    this.#remembered.set(key, { blocks, at: now });
    return blocks;
  }
}

interface Who {
  readonly tenant: string;
  readonly user: string;
}

function keyOf({ tenant, user }: Who): string {
  return tenantKey(tenant, user);
}

/** Beside the user's read state: no id has control characters. */
function documentOf(user: string): string {
  return joinKey("block", user);
}

/** Who is not kept out, but was cut off lately: of many tokens, the last. */
function recentCuts(blocks: readonly (readonly [string, Block])[], except: string, now: number) {
  const cuts = blocks.filter(([id, { until, cut = 0 }]) => id !== except && until <= now && cut > now - cutMs);
  return cuts.toSorted(([, a], [, b]) => (b.cut ?? 0) - (a.cut ?? 0)).slice(0, maxTokens);
}

/** The end of a stream that was cut off. */
export function disconnected(reason: string): ConnectError {
  return fail("DISCONNECTED", reason || "the user's streams were ended");
}

function decode(json: string): UserBlocks {
  return json === "" ? {} : (JSON.parse(json) as UserBlocks);
}
