import type { Connection } from "./connection.ts";
import type { ClaimDocument } from "./documents.ts";
import type { Layout } from "./layout.ts";

/** Marks of one command. */
const maxMarks = 1_000;

/**
 * Notes behind the answer that all entries of a message are in their feeds, so that a repetition need not look at each of
 * them. A lost mark costs that look, and nothing else.
 */
export class DoneMarks {
  readonly #connection: Connection;
  readonly #layout: Layout;
  #waiting: ClaimDocument[] = [];
  #running: Promise<void> | undefined;

  constructor(connection: Connection, layout: Layout) {
    this.#connection = connection;
    this.#layout = layout;
  }

  /** One command at a time; what comes meanwhile is in the next one. */
  add(claim: ClaimDocument): void {
    if (this.#waiting.length < maxMarks) this.#waiting.push(claim);
    this.#running ??= this.#run();
  }

  /** Waits for what is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    const claims = this.#connection.collection<ClaimDocument>(this.#layout.claims);
    while (this.#waiting.length > 0) {
      const some = this.#waiting;
      this.#waiting = [];
      const filter = { f: { $in: some.map(({ f }) => f) }, s: 0, o: { $in: some.map(({ o }) => o) } };
      await claims.updateMany(filter, { $set: { done: true } }).catch(() => {});
    }
    this.#running = undefined;
  }
}
