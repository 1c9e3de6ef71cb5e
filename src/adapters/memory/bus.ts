import type { Bus, BusEvent, Notice } from "../../ports/bus.ts";
import { Listeners } from "../../util/listeners.ts";

/** Port Bus within one process: it delivers at once, in order, and loses nothing. */
export class MemoryBus implements Bus {
  readonly #listeners = new Listeners<BusEvent>();

  publish(notices: readonly Notice[]): void {
    for (const notice of notices) this.#listeners.call(notice);
  }

  subscribe(listener: (event: BusEvent) => void): () => void {
    return this.#listeners.add(listener);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }
}
