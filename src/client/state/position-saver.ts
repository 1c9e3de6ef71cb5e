/**
 * Saves positions in the caller's storage: after a short delay rather than for each message, and one write at a time.
 */
import type { Clock, Timer } from "../../ports/clock.ts";
import type { Position } from "../events.ts";
import { formatPositions, parsePositions } from "./positions.ts";

/**
 * Keeps the positions of a client between page loads. Use one storage, or one key of it, per user: positions in the
 * feeds of one user mean nothing in those of another.
 */
export interface PositionStorage {
  /** Returns the text that save was given last, or null. */
  load(): string | null | Promise<string | null>;
  /** Stores a text of at most 40 KB. */
  save(text: string): void | Promise<void>;
}

/** The delay of a save in ms, so that the changes of that time are one write. */
const saveDelayMs = 250;

/** The dependencies of a PositionSaver. */
export interface SaverOptions {
  readonly storage: PositionStorage | undefined;
  readonly clock: Clock;
  /** Returns the positions to save. */
  readonly positions: () => readonly Position[];
  /** Called when the storage starts to fail; the client continues without it. */
  readonly failed: (cause: unknown) => void;
}

/** Reads and writes the storage of one client. */
export class PositionSaver {
  readonly #options: SaverOptions;
  #timer: Timer | undefined;
  /**
   * The text in the storage. Before the first read that of no positions, so that an early close() does not erase it.
   */
  #saved = formatPositions([]);
  #saving = false;
  #failing = false;
  #closed = false;

  constructor(options: SaverOptions) {
    this.#options = options;
  }

  /** Reads the saved positions, as far as they are valid. */
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

  /** Schedules a save: the positions changed. */
  changed() {
    if (this.#options.storage === undefined) return;
    if (this.#closed) return this.flush();
    this.#timer ??= this.#options.clock.after(saveDelayMs, () => this.flush());
  }

  /** Saves now: the page may end soon. */
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
    // The write in flight checks again at its end.
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
      // The content of the storage is unknown, so the next change writes again.
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
