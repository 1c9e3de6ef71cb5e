import type { Database } from "./database.ts";
import type { IdempotencyRecord } from "./documents.ts";

/** The most marks that wait for the next command; more are dropped. */
const maxWaiting = 1_000;

/**
 * Marks the records of messages of several feeds as done, after the callers were answered, so that a repetition need
 * not look for each entry. A lost mark costs that look, and nothing else.
 */
export class DoneMarks {
  readonly #database: Database;
  #waiting: IdempotencyRecord[] = [];
  #running: Promise<void> | undefined;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Marks a record soon. One command runs at a time, and marks whatever came during the one before. */
  add(record: IdempotencyRecord): void {
    if (this.#waiting.length < maxWaiting) this.#waiting.push(record);
    this.#running ??= this.#run();
  }

  /** Resolves once no command runs. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const records = this.#waiting;
      this.#waiting = [];
      const filter = { f: { $in: records.map(({ f }) => f) }, s: 0, o: { $in: records.map(({ o }) => o) } };
      await this.#database.updateMany<IdempotencyRecord>("entries", filter, { $set: { done: true } }).catch(() => {});
    }
    this.#running = undefined;
  }
}
