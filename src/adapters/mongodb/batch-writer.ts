import type { CommitListener } from "../../ports/store.ts";
import { guard, warn } from "../../util/guard.ts";
import type { Database } from "./database.ts";
import type { EntryContent, EntryDocument, IdempotencyRecord } from "./documents.ts";
import type { FeedBoundsReader } from "./feed-bounds.ts";
import type { KnownEnd, KnownEnds } from "./known-ends.ts";
import { pauseBeforeRetry } from "./retry.ts";

/** The most entries, and bytes of bodies, of one command. */
const maxEntries = 500;
const maxBytes = 4_000_000;
/** An end that was learned longer ago, in ms, may have been trimmed away meanwhile: see #removeStrays. */
const maxEndAgeMs = 600_000;

/** The attempt whose pause follows a batch of which only refused entries are left. */
const refusedAttempt = 5;

/** The outcome of appending an entry. */
export type EntryOutcome =
  /** It is in its feed, under this number. */
  | { readonly seq: number }
  /** The feed has another entry under its deduplication key. */
  | { readonly existing: Pick<EntryDocument, "m" | "k" | "p"> }
  /** Its record could not be inserted, because another message holds the key. */
  | { readonly heldBy: IdempotencyRecord };

/** An entry that has no outcome yet. */
interface PendingEntry {
  readonly content: EntryContent;
  readonly resolve: (outcome: EntryOutcome) => void;
  /** The caller no longer waits. */
  readonly expired: () => boolean;
  /** The record to insert before the entry; undefined once it is known to be stored. */
  record: IdempotencyRecord | undefined;
  /** An earlier insert may have stored it. */
  unconfirmed: boolean;
  /** The server refuses it for itself; it is not tried again. */
  refused?: boolean;
  done: boolean;
}

interface FeedQueue {
  readonly f: string;
  entries: PendingEntry[];
  inFlight: boolean;
  /** Commands shared with other feeds that left its entry without an outcome. */
  failures: number;
}

/** What a BatchWriter reports. Listeners must not throw. */
export interface WriteListeners {
  /** A feed has a new last number, and as many new entries. */
  readonly appended: (f: string, seq: number, entries: number) => void;
  readonly committed: CommitListener;
}

/**
 * Appends entries to the ends of feeds: the protocol is described in append.ts. A feed has one batch in flight, and
 * what is queued meanwhile makes the next one. Feeds with a single new entry share a command.
 */
export class BatchWriter {
  readonly #database: Database;
  readonly #bounds: FeedBoundsReader;
  readonly #known: KnownEnds;
  readonly #listeners: WriteListeners;
  readonly #queues = new Map<string, FeedQueue>();
  readonly #ready = new Set<FeedQueue>();
  #scheduled = false;
  /** Why the last command failed: the cause of calls that run out of time. */
  lastError: unknown;

  constructor(database: Database, bounds: FeedBoundsReader, known: KnownEnds, listeners: WriteListeners) {
    this.#database = database;
    this.#bounds = bounds;
    this.#known = known;
    this.#listeners = listeners;
  }

  /**
   * Appends an entry to a feed, after its record if there is one. Retries until the outcome is known, or until
   * `expired`; then the promise stays pending.
   */
  append(
    f: string,
    content: EntryContent,
    record: IdempotencyRecord | undefined,
    expired: () => boolean,
  ): Promise<EntryOutcome> {
    return new Promise((resolve) => {
      const queue = this.#queues.get(f) ?? { f, entries: [], inFlight: false, failures: 0 };
      this.#queues.set(f, queue);
      queue.entries.push({ content, resolve, expired, record, unconfirmed: false, done: false });
      this.#schedule(queue);
    });
  }

  /** Writes at the end of the event-loop tick, so that all calls of a tick share commands. */
  #schedule(queue: FeedQueue): void {
    if (queue.inFlight) return;
    this.#ready.add(queue);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const queues = [...this.#ready];
    this.#ready.clear();
    for (const queue of queues) queue.inFlight = true;
    const single = queues.filter(({ entries: [entry, more] }) => entry && !more && !entry.record);
    const shared = new Set(single.length > 1 ? single : []);
    for (const queue of queues)
      if (!shared.has(queue)) void this.#writeBatch(queue).finally(() => this.#release(queue));
    for (const group of groupsOf([...shared])) {
      void this.#writeShared(group).finally(() => {
        for (const queue of group) this.#release(queue);
      });
    }
  }

  /** The batch of a feed has been answered: what is left, and what came meanwhile, makes the next one. */
  #release(queue: FeedQueue): void {
    queue.inFlight = false;
    queue.entries = queue.entries.filter((entry) => !entry.done && !entry.expired());
    if (queue.entries.length > 0) this.#schedule(queue);
    else this.#queues.delete(queue.f);
  }

  /** Tries one entry of each of several feeds once. The next flush retries those without an outcome. */
  async #writeShared(queues: readonly FeedQueue[]): Promise<void> {
    try {
      const unconfirmed = queues.filter(({ entries: [entry] }) => entry?.unconfirmed);
      if (unconfirmed.length > 0) await this.#findStored(unconfirmed);
      const rest = queues.filter(({ entries: [entry] }) => entry && !entry.done && !entry.expired());
      if (rest.length > 0) await this.#tryShared(rest);
    } catch (error) {
      for (const { f, entries } of queues) this.#markUnconfirmed(f, entries, error);
    }
    const left = queues.filter(({ entries: [entry] }) => entry && !entry.done);
    for (const queue of left) queue.failures++;
    if (left.length > 0) await pauseBeforeRetry(left[0]?.failures ?? 0);
  }

  async #tryShared(queues: readonly FeedQueue[]): Promise<void> {
    const unknown = queues.filter(({ f }) => !this.#isFresh(f)).map(({ f }) => f);
    if (unknown.length > 0) await this.#bounds.lastSeqs(unknown);
    const writes = queues.map(({ f, entries: [entry] }) => ({ f, entry: entry as PendingEntry, end: this.#endOf(f) }));
    const documents = writes.map(({ f, entry, end }) => documentOf(f, end.seq + 1, entry));
    const start = performance.now();
    const { confirmed, duplicates, slotsTaken, time, error } = await this.#database.insert("entries", documents, false);
    if (!confirmed) this.lastError = error;
    else this.#report(documents.length - duplicates.length, start);
    const missed = new Set(confirmed ? duplicates : documents.keys());
    for (const [index, { f, entry, end }] of writes.entries()) {
      const isMissed = missed.has(index);
      entry.unconfirmed = isMissed && !(confirmed && slotsTaken);
      if (isMissed) this.#known.invalidate(f);
      else await this.#confirm(f, [entry], end, time);
    }
  }

  /** Tries a batch of one feed until each entry has an outcome or its caller no longer waits. */
  async #writeBatch({ f, entries: queued }: FeedQueue): Promise<void> {
    const batch = firstCommand(queued);
    for (let attempt = 0, left = Number.POSITIVE_INFINITY; ; attempt++) {
      const open = batch.filter((entry) => !entry.done && !entry.expired());
      if (open.length === 0) return;
      // What the server refuses would keep the entries behind it from being stored: only its own caller waits in vain.
      const entries = open.filter(({ refused }) => !refused);
      if (entries.length === 0) return pauseBeforeRetry(refusedAttempt);
      // An attempt that made progress needs no pause: entries of one key wait for each other, not for other nodes.
      if (entries.length === left) await pauseBeforeRetry(attempt);
      left = entries.length;
      try {
        if (entries.some(({ unconfirmed }) => unconfirmed)) await this.#findStored([{ f, entries }]);
        const missing = entries.filter(({ done }) => !done);
        if (missing.length > 0) await this.#tryBatch(f, missing);
      } catch (error) {
        this.#markUnconfirmed(f, entries, error);
      }
    }
  }

  /** Inserts the records, then the entries, with one ordered command: what is stored is a prefix of both together. */
  async #tryBatch(f: string, entries: readonly PendingEntry[]): Promise<void> {
    if (!this.#isFresh(f)) await this.#bounds.lastSeqs([f]);
    const end = this.#endOf(f);
    const recorded = entries.filter(({ record }) => record);
    const records = recorded.map(({ record }) => record as IdempotencyRecord);
    const documents = entries.map((entry, index) => documentOf(f, end.seq + 1 + index, entry));
    const start = performance.now();
    const result = await this.#database.insert("entries", [...records, ...documents], true);
    if (!result.confirmed) {
      const refused = [...recorded, ...entries][result.refused ?? Number.POSITIVE_INFINITY];
      if (refused) refused.refused = true;
      return this.#markUnconfirmed(f, entries, result.error);
    }
    const [stored = records.length + documents.length] = result.duplicates;
    for (const entry of recorded.slice(0, stored)) entry.record = undefined;
    if (stored < records.length) return this.#resolveHeld(recorded.slice(stored));
    const written = entries.slice(0, stored - records.length);
    this.#report(written.length, start);
    const lost = entries.slice(written.length);
    if (written.length > 0 && !(await this.#confirm(f, written, end, result.time))) return;
    if (lost.length === 0) return;
    // Another entry has the number. Unless the server names the index, the entry may also be stored already.
    if (!result.slotsTaken) for (const entry of lost) entry.unconfirmed = true;
    this.#known.invalidate(f);
  }

  /** The outcome of an insert of these entries is unknown. */
  #markUnconfirmed(f: string, entries: readonly PendingEntry[], error: unknown): void {
    this.lastError = error;
    for (const entry of entries) entry.unconfirmed ||= !entry.done;
    this.#known.invalidate(f);
  }

  #report(messages: number, start: number): void {
    const seconds = (performance.now() - start) / 1000;
    // The listener belongs to another program: its error must not fail what is stored.
    if (messages > 0) guard(warn, () => this.#listeners.committed({ messages, seconds }));
  }

  #endOf(f: string): KnownEnd {
    return this.#known.current(f) ?? { seq: 0, time: 0 };
  }

  #isFresh(f: string): boolean {
    const end = this.#known.current(f);
    return end !== undefined && this.#database.now - end.time <= maxEndAgeMs;
  }

  /**
   * Handles entries whose records were not inserted because the names were taken: by the same record, in an earlier
   * insert, or by that of another message.
   */
  async #resolveHeld(entries: readonly PendingEntry[]): Promise<void> {
    const filter = { f: { $in: entries.map(({ record }) => record?.f ?? "") }, s: 0 };
    const records = await this.#database.find<IdempotencyRecord>("entries", filter);
    const byName = new Map(records.map((record) => [record.f, record]));
    for (const entry of entries) {
      const record = byName.get(entry.record?.f ?? "");
      // Not there: deleted meanwhile, or not yet on a majority. The next attempt finds out.
      if (!record) continue;
      if (record.id === entry.content.m) entry.record = undefined;
      else settle(entry, { heldBy: record });
    }
  }

  /** Looks for entries by their deduplication keys: an earlier insert, or another node, may have stored them. */
  async #findStored(queues: readonly Pick<FeedQueue, "f" | "entries">[]): Promise<void> {
    const keys = queues.flatMap(({ entries }) => entries.map(({ content }) => content.c));
    const filter = { f: { $in: queues.map(({ f }) => f) }, c: { $in: [...new Set(keys)] } };
    const found = await this.#database.find<EntryDocument>("entries", filter, { projection: { d: 0 } });
    const stored = new Map(found.map((document) => [`${document.f} ${document.c}`, document]));
    for (const { f, entries } of queues) {
      for (const entry of entries) {
        entry.unconfirmed = false;
        const document = stored.get(`${f} ${entry.content.c}`);
        if (!document) continue;
        const isOwn = document.m === entry.content.m && document.k === entry.content.k;
        settle(entry, isOwn ? { seq: document.s } : { existing: document });
      }
    }
  }

  /** Settles entries that were stored behind an end. Reports false if they were strays, and have no outcome yet. */
  async #confirm(f: string, entries: readonly PendingEntry[], end: KnownEnd, time: number): Promise<boolean> {
    const first = end.seq + 1;
    const last = end.seq + entries.length;
    if (time - end.time > maxEndAgeMs && (await this.#removeStrays(f, first, entries))) return false;
    this.#known.learn(f, last, time);
    for (const [index, entry] of entries.entries()) settle(entry, { seq: first + index });
    this.#listeners.appended(f, last, entries.length);
    return true;
  }

  /**
   * A node that was suspended may build on an end whose successors were written and trimmed meanwhile: then its insert
   * meets no other entry, and stores entries below the tail, where no reader looks. Trimmed slots are an hour old at
   * least, so only an old end has to be checked, by the server's clock. Reports whether the entries were such strays;
   * they are deleted.
   */
  async #removeStrays(f: string, first: number, entries: readonly PendingEntry[]): Promise<boolean> {
    const tail = (await this.#bounds.tails([f])).get(f) ?? 1;
    this.#known.invalidate(f);
    if (first >= tail) return false;
    const s = { $gte: first, $lt: first + entries.length };
    await this.#database.deleteMany<EntryDocument>("entries", {
      f,
      s,
      c: { $in: entries.map(({ content }) => content.c) },
    });
    return true;
  }
}

function settle(entry: PendingEntry, outcome: EntryOutcome): void {
  entry.done = true;
  entry.resolve(outcome);
}

function documentOf(f: string, s: number, { content }: PendingEntry): EntryDocument {
  return { f, s, ...content };
}

/** The first entries, as many as go into one command: at least one. */
function firstCommand(entries: readonly PendingEntry[]): PendingEntry[] {
  let bytes = 0;
  const over = entries.findIndex(({ content, record }, index) => {
    bytes += (content.d?.length ?? 0) + (record?.d?.length ?? 0);
    return index >= maxEntries || (index > 0 && bytes > maxBytes);
  });
  return entries.slice(0, over === -1 ? entries.length : over);
}

/** Feeds in groups of one command each. */
function* groupsOf(queues: readonly FeedQueue[]): Generator<FeedQueue[]> {
  for (let rest = [...queues]; rest.length > 0; ) {
    const count = firstCommand(rest.map(({ entries }) => entries[0] as PendingEntry)).length;
    yield rest.splice(0, count);
  }
}
