import type { StoreHealth } from "../../ports/store.ts";
import { Listeners } from "../../util/listeners.ts";

/** A part of the store that can make all of it unusable. */
export type HealthPart = "thread" | "folder" | "content" | "checkpoint";

const usable: StoreHealth = { state: "usable", reason: "" };

/** The health of a store, from that of its parts. */
export class Health {
  /** Why a part does not work, in the order in which the parts began to fail. */
  readonly #reasons = new Map<HealthPart, string>();
  readonly #listeners = new Listeners<StoreHealth>();
  #current = usable;

  get current(): StoreHealth {
    return this.#current;
  }

  /** Whether a part works. */
  works(part: HealthPart): boolean {
    return !this.#reasons.has(part);
  }

  /** Calls a listener now and at each change, until the returned function is called. */
  watch(listener: (health: StoreHealth) => void): () => void {
    listener(this.#current);
    return this.#listeners.add(listener);
  }

  /** Sets why a part does not work; undefined when it does. */
  set(part: HealthPart, reason: string | undefined): void {
    if (reason === undefined) this.#reasons.delete(part);
    else this.#reasons.set(part, reason);
    const [first] = this.#reasons.values();
    this.#change(first === undefined ? usable : { state: "unusable", reason: first });
  }

  /** The store has failed for good. */
  fail(reason: string): void {
    this.#change({ state: "failed", reason });
  }

  #change(health: StoreHealth): void {
    const { state, reason } = this.#current;
    if (state === "failed" || (state === health.state && reason === health.reason)) return;
    this.#current = health;
    this.#listeners.call(health);
  }
}
