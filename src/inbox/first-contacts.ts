import { ConnectError } from "@connectrpc/connect";
import { reasonOf } from "../errors.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { Store, StoredReadState } from "../ports/store.ts";
import { tenantKey } from "../util/keys.ts";
import { LruCache } from "../util/lru.ts";
import { ReadState } from "./read-state.ts";

/** The most users whose first states wait to be saved. Those beyond it begin anew with their next request. */
const maxWaiting = 1000;
/** Time between two rounds of saves, in ms. */
const retryMs = 2000;
/** Saves of one round. */
const savesPerRound = 32;

interface Waiting {
  readonly tenant: string;
  readonly user: string;
  readonly first: StoredReadState;
}

/**
 * Saves the first read states of users. Where the store cannot write, as on a full disk, a new user is served from memory,
 * always with the same state, which is saved as soon as the store can write.
 */
export class FirstContacts {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #waiting = new LruCache<string, Waiting>({ entries: maxWaiting });
  #timer: Timer | undefined;
  #closed = false;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Returns a copy of the first state of a user that could not be saved yet, if there is one. */
  unsavedState(tenant: string, user: string): ReadState | undefined {
    const waiting = this.#waiting.get(tenantKey(tenant, user));
    return waiting && ReadState.decode({ version: 0, json: waiting.first.json });
  }

  /** Saves the first state of a user, and returns the stored one; or the given one, if it cannot be saved for now. */
  async begin(tenant: string, user: string, state: ReadState): Promise<ReadState> {
    const key = tenantKey(tenant, user);
    // It was tried a moment ago.
    if (this.#waiting.peek(key)) return state;
    const first = state.encode();
    try {
      if (await this.#store.saveReadState(tenant, user, first)) return ReadState.decode(first);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      this.#waiting.set(key, { tenant, user, first });
      this.#schedule();
      return state;
    }
    // Another device has saved first, and its state is as good as this one.
    return ReadState.decode(await this.#store.readState(tenant, user));
  }

  /** Saves nothing more. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#timer || this.#closed || this.#waiting.size === 0) return;
    this.#timer = this.#clock.after(retryMs, () => void this.#saveSome());
  }

  async #saveSome(): Promise<void> {
    try {
      for (const { tenant, user, first } of [...this.#waiting.values()].slice(0, savesPerRound)) {
        // Only the first save of a round costs anything while the store cannot write.
        await this.#store.saveReadState(tenant, user, first);
        this.#waiting.delete(tenantKey(tenant, user));
      }
    } catch {
      // The next round tries again.
    }
    this.#timer = undefined;
    this.#schedule();
  }
}

/** Reports whether an error says that the store did not do what it was asked. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof ConnectError && reasonOf(error) === "STORE_UNAVAILABLE";
}
