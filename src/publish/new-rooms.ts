import type { UserIdentity } from "../auth/identity.ts";
import type { Limits } from "../limits/limits.ts";
import type { Store } from "../ports/store.ts";
import { roomFeed } from "../rooms/grants.ts";
import { tenantKey } from "../util/keys.ts";
import { LruCache } from "../util/lru.ts";

/** The most rooms that are known to exist. */
const maxRooms = 10_000;

/**
 * Limits how many rooms a user brings into being. Grants with wildcards, and direct rooms, let users invent ids, and each
 * becomes a feed that the store keeps for good, and for a direct room an entry in another user's inbox.
 */
export class NewRooms {
  readonly #store: Pick<Store, "bounds">;
  readonly #limits: Limits;
  /** Rooms that have a message, or are about to. */
  readonly #existing = new LruCache<string, true>({ entries: maxRooms });

  constructor(store: Pick<Store, "bounds">, limits: Limits) {
    this.#store = store;
    this.#limits = limits;
  }

  /** Throws RATE_LIMITED if nobody has stored a message in the room, and the user has been the first in too many others. */
  async check(user: UserIdentity, room: string): Promise<void> {
    const key = tenantKey(user.tenant, room);
    if (this.#existing.get(key)) return;
    const [bounds] = await this.#store.bounds([roomFeed(user.tenant, room).key]);
    // Messages that are sent together create the room once.
    if (bounds?.seq === 0 && !this.#existing.peek(key)) this.#limits.newRoom(user);
    this.#existing.set(key, true);
  }
}
