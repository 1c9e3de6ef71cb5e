import type { ReadNotice } from "../ports/bus.ts";

/** The most message ids that one event or notice carries. */
export const maxNamedIds = 1000;

/** The messages that a change of a read state names. With no ids and without `all`, readers of a list must list again. */
export type ChangedMessages = Omit<ReadNotice, "type" | "tenant" | "user">;

/** A change that names nothing: too much changed, or it is not known what. */
export const unknownChange = { readIds: [], unreadIds: [], deletedIds: [], all: false } as const;

/** The messages that an event names. With no ids and without `all`, a page that shows a list must list again. */
export interface NamedChange {
  readonly readIds: string[];
  readonly unreadIds: string[];
  readonly deletedIds: string[];
  readonly all: boolean;
}

type Mark = "read" | "unread" | "deleted";

/** Builds the notice of a change of a user's read state. It names nothing if the change names more than 1,000 messages. */
export function readNotice(tenant: string, user: string, change: Partial<ChangedMessages> = {}): ReadNotice {
  const { readIds = [], unreadIds = [], deletedIds = [] } = change;
  const named = readIds.length + unreadIds.length + deletedIds.length > maxNamedIds ? {} : change;
  return { type: "read", tenant, user, ...unknownChange, ...named };
}

/** Joins the changes of a user's read state since the last event of a stream, so that one event reports them all. */
export class ReadChange {
  #due = false;
  #all = false;
  #overflow = false;
  /** Exists only while an event is due, since most streams are idle most of the time. */
  #marks: Map<string, Mark> | undefined;

  /** Whether an event is due. */
  get due(): boolean {
    return this.#due;
  }

  /** Adds a change of the totals alone. */
  totalsOnly(): void {
    this.#due = true;
  }

  /** Adds a change. The latest change of a message replaces earlier ones. */
  add({ readIds, unreadIds, deletedIds, all }: ChangedMessages): void {
    this.#due = true;
    this.#all ||= all;
    if (!all && readIds.length + unreadIds.length + deletedIds.length === 0) this.#overflow = true;
    this.#marks ??= new Map();
    if (all) for (const id of this.#named("unread")) this.#marks.set(id, "read");
    for (const id of readIds) this.#marks.set(id, "read");
    for (const id of unreadIds) this.#marks.set(id, "unread");
    for (const id of deletedIds) this.#marks.set(id, "deleted");
    if (this.#marks.size <= maxNamedIds) return;
    this.#overflow = true;
    this.#marks.clear();
  }

  /** Returns the joined changes, and begins anew. */
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
