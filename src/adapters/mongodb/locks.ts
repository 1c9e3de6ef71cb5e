import { type Connection, jitter } from "./connection.ts";

/** A lock that is older was left by a process that died, in milliseconds. */
const abandonedMs = 5_000;

/** In `locks`, only on a server that scans. */
interface LockDocument {
  readonly _id: string;
  readonly at: number;
}

/**
 * MongoDB compares and changes a document in one step. FerretDB 1 reads it, then writes it, and two at once both believe
 * that they have won; there only an insert is decided once, so changes that compare take turns by one.
 */
export class Locks {
  readonly #connection: Connection;
  readonly #needed: boolean;

  constructor(connection: Connection, needed: boolean) {
    this.#connection = connection;
    this.#needed = needed;
  }

  /** Runs `work` while no other process runs work of this name, where the server does not see to it by itself. */
  async exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (!this.#needed) return work();
    const at = await this.#take(name);
    try {
      return await work();
    } finally {
      await this.#connection
        .collection<LockDocument>("locks")
        .deleteOne({ _id: name, at })
        .catch(() => {});
    }
  }

  async #take(name: string): Promise<number> {
    for (let attempt = 0; ; attempt++) {
      const at = Date.now();
      const { sure, taken, error } = await this.#connection.insert("locks", [{ _id: name, at }], true);
      if (!sure) throw error;
      if (taken.length === 0) return at;
      const [held] = await this.#connection.find<LockDocument>("locks", { _id: name });
      if (held && held.at < at - abandonedMs) {
        await this.#connection.collection<LockDocument>("locks").deleteOne({ _id: name, at: held.at });
      } else await jitter(attempt);
    }
  }
}
