import type { ReadNotice } from "./bus.ts";

/** Names that one event carries at most. */
const maxIds = 1000;

/** What an event names; when it names nothing, whoever shows a list lists again. */
export interface NamedChange {
  readIds: string[];
  unreadIds: string[];
  deletedIds: string[];
  all: boolean;
}

type Ids = Omit<ReadNotice, "type" | "tenant" | "user">;
const unnamed: NamedChange = { readIds: [], unreadIds: [], deletedIds: [], all: false };

/** Changes of a user's read state that a stream has not told yet, joined into one event however many there were. */
export class ReadChange {
  #due = false;
  #all = false;
  #overflow = false;
  readonly #ids = { read: new Set<string>(), unread: new Set<string>(), deleted: new Set<string>() };

  /** Something is to be told. */
  get due(): boolean {
    return this.#due;
  }

  /** Only the totals changed. */
  totalsOnly(): void {
    this.#due = true;
  }

  /** Adds a change; a later one of the same message takes the place of the earlier. */
  add({ readIds, unreadIds, deletedIds, all }: Ids): void {
    this.#due = true;
    const { read, unread, deleted } = this.#ids;
    if (all) {
      this.#all = true;
      unread.clear();
    }
    // A change that names nothing touched too many messages to name them.
    if (!all && readIds.length + unreadIds.length + deletedIds.length === 0) this.#overflow = true;
    for (const id of readIds) {
      unread.delete(id);
      read.add(id);
    }
    for (const id of unreadIds) {
      read.delete(id);
      unread.add(id);
    }
    for (const id of deletedIds) {
      read.delete(id);
      unread.delete(id);
      deleted.add(id);
    }
    if (read.size + unread.size + deleted.size > maxIds) this.#overflow = true;
  }

  /** All of them; nothing is due after. */
  take(): NamedChange {
    const { read, unread: back, deleted } = this.#ids;
    const change = this.#overflow ? unnamed : { readIds: [...read], unreadIds: [...back], deletedIds: [...deleted], all: this.#all };
    this.#due = this.#all = this.#overflow = false;
    for (const ids of [read, back, deleted]) ids.clear();
    return change;
  }
}
