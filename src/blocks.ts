import { ConnectError } from "@connectrpc/connect";
import type { Bus, DisconnectNotice } from "./bus.ts";
import type { Clock } from "./clock.ts";
import { fail, reasonOf } from "./errors.ts";
import { type Identity, isUser } from "./identity.ts";
import type { Store } from "./store.ts";

/** Who is kept out. */
interface Block {
  /** In ms since the Unix epoch. */
  readonly until: number;
  readonly reason: string;
}

/** By token id; "" for all tokens of the user. */
type UserBlocks = Readonly<Record<string, Block>>;

/** What is known of a user is asked anew after so long, in case that a notice was lost. */
const staleMs = 5_000;
const maxRemembered = 100_000;
const maxAttempts = 20;
/** Blocks of single tokens that one user can have at once. */
const maxTokens = 100;
const longestMs = 10 * 366 * 86_400_000;

/** The block list: durable, one small document per user, and remembered for a few seconds. */
export class Blocks {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #remembered = new Map<string, { readonly blocks: UserBlocks; readonly at: number }>();
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
    const blocks = await this.#of({ tenant: identity.tenant, user: identity.subject });
    const block = [blocks[""], blocks[identity.tokenId]].find((found) => found && found.until > this.#clock.now());
    if (!block) return;
    const metadata = { until: new Date(block.until).toISOString() };
    throw fail("CALLER_BLOCKED", block.reason || "the user is blocked", { metadata });
  }

  /** As `check`, of who was let in before: `end` gets the error. A store that cannot answer ends nobody. */
  async recheck(identity: Identity, end: (error: ConnectError) => void): Promise<void> {
    try {
      await this.check(identity);
    } catch (error) {
      if (error instanceof ConnectError && reasonOf(error) === "CALLER_BLOCKED") end(error);
    }
  }

  /** Keeps a user, or one token of the user, out until then; a time that has passed lifts the block. Throws CONFLICT. */
  async set({ tenant, user, tokenId, reason }: DisconnectNotice, until: number): Promise<void> {
    const now = this.#clock.now();
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const { version, json } = await this.#store.readState(tenant, documentOf(user));
      const others = Object.entries(decode(json)).filter(([id, block]) => id !== tokenId && block.until > now);
      // A block of the whole user, and the end of a block, are always possible.
      const adds = tokenId !== "" && until > now;
      if (adds && others.filter(([id]) => id !== "").length >= maxTokens) {
        throw fail("TOO_MANY_BLOCKS", "the user has too many blocked tokens; block the user", { field: "token_id" });
      }
      const own = until > now ? [[tokenId, { until: Math.min(until, now + longestMs), reason }] as const] : [];
      const state = { version: version + 1, json: JSON.stringify(Object.fromEntries([...others, ...own])) };
      if (await this.#store.saveReadState(tenant, documentOf(user), state)) return;
    }
    throw fail("CONFLICT", "others keep changing the blocks of this user; repeat the request", { retryAfterMs: 100 });
  }

  close(): void {
    this.#unsubscribe();
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
    if (this.#remembered.size >= maxRemembered) this.#remembered.clear();
    this.#remembered.set(key, { blocks, at: now });
    return blocks;
  }
}

interface Who {
  readonly tenant: string;
  readonly user: string;
}

function keyOf({ tenant, user }: Who): string {
  return `${tenant}\n${user}`;
}

/** Beside the user's read state: no id has control characters. */
function documentOf(user: string): string {
  return `block\n${user}`;
}

function decode(json: string): UserBlocks {
  return json === "" ? {} : (JSON.parse(json) as UserBlocks);
}
