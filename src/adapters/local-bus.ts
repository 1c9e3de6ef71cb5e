import type { Bus, Notice } from "../bus.ts";
import { LocalListeners } from "./local-listeners.ts";

/** Port Bus for one process: delivers at once and in order. */
export class LocalBus implements Bus {
  readonly #listeners = new LocalListeners<Notice>();

  publish(notices: readonly Notice[]): void {
    for (const notice of notices) this.#listeners.call(notice);
  }

  subscribe(listener: (notice: Notice) => void): () => void {
    return this.#listeners.add(listener);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }
}
