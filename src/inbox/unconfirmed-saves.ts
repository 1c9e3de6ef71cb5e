import type { JoinedUser } from "../feeds/hub.ts";
import type { Bus } from "../ports/bus.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { Store } from "../ports/store.ts";
import { tenantKey } from "../util/keys.ts";
import { unknownChange } from "./read-change.ts";

/** Between two questions. */
const askMs = 1000;
/** Users that are asked about at once. */
const usersTogether = 32;
/** Users that wait at most; of those beyond it, and of a node that dies, the bus's sweep tells. */
const maxWaiting = 1000;
/** So many answers that know nothing of the save: it has not come, and will not. */
const maxAnswers = 5;

interface Unsure extends JoinedUser {
  /** The least that was saved without an answer. */
  readonly version: number;
  /** Answers that are still waited for. */
  readonly answers: number;
}

/**
 * Saves of read states that the store gave no answer to. A repetition by the client would find nothing left to change, and
 * so tell nobody: what became of them is asked, and the user's streams are told when they did take effect.
 */
export class UnconfirmedSaves {
  readonly #store: Store;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Unsure>();
  #timer: Timer | undefined;
  #closed = false;

  constructor(store: Store, bus: Bus, clock: Clock) {
    this.#store = store;
    this.#bus = bus;
    this.#clock = clock;
  }

  /** It is not known whether this version of the user's read state was saved. */
  add(tenant: string, user: string, version: number): void {
    const key = tenantKey(tenant, user);
    const least = Math.min(version, this.#waiting.get(key)?.version ?? version);
    if (this.#waiting.size >= maxWaiting && !this.#waiting.has(key)) return;
    this.#waiting.set(key, { tenant, user, version: least, answers: maxAnswers });
    this.#arm();
  }

  /** Asks nothing more. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#waiting.clear();
  }

  #arm(): void {
    if (this.#timer || this.#closed || this.#waiting.size === 0) return;
    this.#timer = this.#clock.after(askMs, () => void this.#ask());
  }

  async #ask(): Promise<void> {
    const batch = [...this.#waiting].slice(0, usersTogether);
    await Promise.all(batch.map(([key, unsure]) => this.#settle(key, unsure)));
    this.#timer = undefined;
    this.#arm();
  }

  async #settle(key: string, unsure: Unsure): Promise<void> {
    const { tenant, user, version, answers } = unsure;
    const found = await this.#store.readState(tenant, user).catch(() => undefined);
    // Another save of the user went the same way meanwhile: it is asked about anew.
    if (this.#closed || this.#waiting.get(key) !== unsure) return;
    this.#waiting.delete(key);
    // Others have their turn before it is asked again. A store that is away has not answered.
    if (!found) this.#waiting.set(key, unsure);
    else if (found.version >= version) this.#bus.publish([{ type: "read", tenant, user, ...unknownChange }]);
    else if (answers > 1) this.#waiting.set(key, { ...unsure, answers: answers - 1 });
  }
}
