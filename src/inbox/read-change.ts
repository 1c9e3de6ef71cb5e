import type { ReadNotice } from "../ports/bus.ts";

/** Names that one event carries at most. */
const maxIds = 1000;

/** A change that names nothing: too much changed, or nobody knows what. */
export const unknownChange = { readIds: [], unreadIds: [], deletedIds: [], all: false } as const;

/** What an event names. When it names nothing, too much changed to name it: whoever shows a list lists again. */
export interface NamedChange {
  readonly readIds: string[];
  readonly unreadIds: string[];
  readonly deletedIds: string[];
  readonly all: boolean;
}

type Change = Omit<ReadNotice, "type" | "tenant" | "user">;
type Mark = "read" | "unread" | "deleted";

/** Changes of a user's read state that a stream has not told yet, joined into one event however many there were. */
export class ReadChange {
  #due = false;
  #all = false;
  #overflow = false;
  /** Only while something is due: most streams wait for years. */
  #marks: Map<string, Mark> | undefined;

  /** Something is to be told. */
  get due(): boolean {
    return this.#due;
  }

  /** Only the totals changed. */
  totalsOnly(): void {
    this.#due = true;
  }

  /** Adds a change; a later one of the same message takes the place of the earlier. */
  add({ readIds, unreadIds, deletedIds, all }: Change): void {
    this.#due = true;
    this.#all ||= all;
    if (!all && readIds.length + unreadIds.length + deletedIds.length === 0) this.#overflow = true;
    this.#marks ??= new Map();
    if (all) for (const id of this.#named("unread")) this.#marks.set(id, "read");
    for (const id of readIds) this.#marks.set(id, "read");
    for (const id of unreadIds) this.#marks.set(id, "unread");
    for (const id of deletedIds) this.#marks.set(id, "deleted");
    if (this.#marks.size <= maxIds) return;
    this.#overflow = true;
    this.#marks.clear();
  }

  /** All of them; nothing is due after. */
  take(): NamedChange {
    const change = {
      readIds: this.#named("read"),
      unreadIds: this.#named("unread"),
      deletedIds: this.#named("deleted"),
      all: this.#all,
    };
    const overflow = this.#overflow;
    this.#due = this.#all = this.#overflow = false;
    this.#marks = undefined;
    return overflow ? { readIds: [], unreadIds: [], deletedIds: [], all: false } : change;
  }

  #named(mark: Mark): string[] {
    return [...(this.#marks ?? [])].filter(([, given]) => given === mark).map(([id]) => id);
  }
}
