import type { Bus, Heard, Notice } from "../../ports/bus.ts";
import { LocalListeners } from "../../util/listeners.ts";

/** Port Bus for one process: delivers at once and in order. */
export class LocalBus implements Bus {
  readonly #listeners = new LocalListeners<Heard>();

  publish(notices: readonly Notice[]): void {
    for (const notice of notices) this.#listeners.call(notice);
  }

  subscribe(listener: (heard: Heard) => void): () => void {
    return this.#listeners.add(listener);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }
}
