/** Writes positions to the caller's storage: soon, not for each message, and one write at a time. */
import type { Clock, Timer } from "../../ports/clock.ts";
import type { Position } from "../events.ts";
import { formatPositions, parsePositions } from "./positions.ts";

/**
 * Where a client keeps its positions between page loads. One storage, or one key of it, per user: places in one user's
 * feeds mean nothing in another's.
 */
export interface PositionStorage {
  /** What save was given last, or null. */
  load(): string | null | Promise<string | null>;
  /** Keeps a text of at most 40 KB. */
  save(text: string): void | Promise<void>;
}

/** How long a change waits for others, in ms. */
const saveDelayMs = 250;

/** What a Keeper works with. */
export interface KeeperOptions {
  readonly storage: PositionStorage | undefined;
  readonly clock: Clock;
  /** What to save. */
  readonly positions: () => readonly Position[];
  /** Called when the storage begins to fail; the client goes on without it. */
  readonly failed: (cause: unknown) => void;
}

/** The storage's one reader and writer. */
export class PositionSaver {
  readonly #options: KeeperOptions;
  #timer: Timer | undefined;
  /** What the storage holds; before it was read: nothing, so that an early close() does not empty it. */
  #saved = formatPositions([]);
  #saving = false;
  #failing = false;
  #closed = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** What was kept, as far as it is usable. */
  async load(): Promise<Position[]> {
    try {
      const positions = parsePositions((await this.#options.storage?.load()) ?? null);
      this.#saved = formatPositions(positions);
      return positions;
    } catch (cause) {
      this.#failed(cause);
      return [];
    }
  }

  /** The positions changed. */
  changed() {
    if (this.#options.storage === undefined) return;
    if (this.#closed) return this.flush();
    this.#timer ??= this.#options.clock.after(saveDelayMs, () => this.flush());
  }

  /** Saves now: the page is about to go. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    void this.#save();
  }

  /** Saves now, and each later change at once. */
  close(): void {
    this.#closed = true;
    this.flush();
  }

  async #save(): Promise<void> {
    const { storage, positions } = this.#options;
    // While a write is under way its end looks again.
    if (storage === undefined || this.#saving) return;
    this.#saving = true;
    try {
      for (;;) {
        const text = formatPositions(positions());
        if (text === this.#saved) return;
        this.#saved = text;
        await storage.save(text);
        this.#failing = false;
      }
    } catch (cause) {
      // Unknown what it holds now: the next change writes again.
      this.#saved = "";
      this.#failed(cause);
    } finally {
      this.#saving = false;
    }
  }

  #failed(cause: unknown): void {
    if (!this.#failing) this.#options.failed(cause);
    this.#failing = true;
  }
}
