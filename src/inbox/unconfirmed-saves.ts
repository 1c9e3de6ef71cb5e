import type { JoinedUser } from "../feeds/hub.ts";
import type { Bus } from "../ports/bus.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { Store } from "../ports/store.ts";
import { tenantKey } from "../util/keys.ts";
import { readNotice } from "./read-change.ts";

/** Time between two rounds of checks. */
const intervalMs = 1000;
/** Users that one round checks. */
const usersPerRound = 32;
/**
 * The most users with such saves. For further ones, and when this node dies, the bus's sweep finds the change within a
 * minute.
 */
const maxUsers = 1000;
/** Checks after which a save that is not found counts as lost: the store has given it up by then. */
const maxChecks = 5;

interface UnconfirmedSave extends JoinedUser {
  /** The lowest version that was saved without an answer. */
  readonly version: number;
  /** Answers of the store to wait for before the save counts as lost. */
  readonly checksLeft: number;
}

/**
 * The saves of read states that the store did not answer. If such a save took effect, a repetition by the client finds
 * nothing to change and announces nothing; so the store is asked until the outcome is known, and a save that took effect
 * is announced to the user's streams.
 */
export class UnconfirmedSaves {
  readonly #store: Store;
  readonly #bus: Bus;
  readonly #clock: Clock;
  /** By user, in the order in which they are checked. */
  readonly #saves = new Map<string, UnconfirmedSave>();
  #timer: Timer | undefined;
  #closed = false;

  constructor(store: Store, bus: Bus, clock: Clock) {
    this.#store = store;
    this.#bus = bus;
    this.#clock = clock;
  }

  /** Adds a save of this version of a user's read state, which may have taken effect or not. */
  add(tenant: string, user: string, version: number): void {
    const key = tenantKey(tenant, user);
    const lowest = Math.min(version, this.#saves.get(key)?.version ?? version);
    if (this.#saves.size >= maxUsers && !this.#saves.has(key)) return;
    this.#saves.set(key, { tenant, user, version: lowest, checksLeft: maxChecks });
    this.#schedule();
  }

  /** Stops checking. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#saves.clear();
  }

  #schedule(): void {
    if (this.#timer || this.#closed || this.#saves.size === 0) return;
    this.#timer = this.#clock.after(intervalMs, () => void this.#checkNext());
  }

  async #checkNext(): Promise<void> {
    const round = [...this.#saves].slice(0, usersPerRound);
    await Promise.all(round.map(([key, save]) => this.#check(key, save)));
    this.#timer = undefined;
    this.#schedule();
  }

  async #check(key: string, save: UnconfirmedSave): Promise<void> {
    const { tenant, user, version, checksLeft } = save;
    const found = await this.#store.readState(tenant, user).catch(() => undefined);
    // Another save of this user failed in the meantime, and replaced this one.
    if (this.#closed || this.#saves.get(key) !== save) return;
    // Deleting first moves the user to the end, so that the next round checks others. A check without an answer does
    // not count.
    this.#saves.delete(key);
    if (!found) this.#saves.set(key, save);
    else if (found.version >= version) this.#bus.publish([readNotice(tenant, user)]);
    else if (checksLeft > 1) this.#saves.set(key, { ...save, checksLeft: checksLeft - 1 });
  }
}
