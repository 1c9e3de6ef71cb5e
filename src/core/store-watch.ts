import type { Logger } from "pino";
import type { Store, StoreHealth } from "../ports/store.ts";

/** Follows the health of a store: for probes, for the log, and for the owner of the process when the store has failed. */
export class StoreWatch {
  /** Resolves to the reason once the store has failed for good; otherwise stays pending. */
  readonly failed: Promise<Error>;
  readonly #failure = Promise.withResolvers<Error>();
  readonly #logger: Logger | undefined;
  readonly #changed: (isUsable: boolean) => void;
  readonly #unwatch: (() => void) | undefined;
  #health: StoreHealth = { state: "usable", reason: "" };

  /** `changed` is called whenever the store becomes usable or unusable. The store has been opened. */
  constructor(store: Store, logger: Logger | undefined, changed: (isUsable: boolean) => void) {
    this.failed = this.#failure.promise;
    this.#logger = logger;
    this.#changed = changed;
    this.#unwatch = store.watch?.((health) => this.#take(health));
  }

  /** Whether calls of the store can succeed. */
  get isUsable(): boolean {
    return this.#health.state === "usable";
  }

  /** Whether calls of the store will never succeed again in this process. */
  get hasFailed(): boolean {
    return this.#health.state === "failed";
  }

  /** Stops following. */
  close(): void {
    this.#unwatch?.();
  }

  #take(health: StoreHealth): void {
    const wasUsable = this.isUsable;
    this.#health = health;
    if (health.state === "failed") {
      this.#logger?.fatal(health.reason);
      this.#failure.resolve(new Error(health.reason));
    } else if (health.state === "unusable") this.#logger?.error(health.reason);
    else if (!wasUsable) this.#logger?.info("the store is usable again");
    if (this.isUsable !== wasUsable) this.#changed(this.isUsable);
  }
}
