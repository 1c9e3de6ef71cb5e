import type { ProcessCounts } from "../util/process-counts.ts";

/** Why an entry is cut: which bound needs its room, or that it has seen no progress for too long. */
export type LedgerReason = "userBytes" | "nodeBytes" | "stalled";

/** Bytes that a peer keeps the node from freeing: an answer that it does not read, or a body that it does not complete. */
export interface LedgerEntry {
  readonly bytes: number;
  /** The user whose call it is; undefined before that is known, and for services. */
  readonly user: string | undefined;
  /** Ends the call, which removes the entry sooner or later. */
  cut(reason: LedgerReason): void;
}

/** How long an entry must have seen no progress before another entry can push it out, in ms. */
const graceMs = 1_000;

/** The counts of the ledgers of one kind in all threads of a process. */
export interface SharedLedger {
  readonly processCounts: ProcessCounts;
  /** The kind of ledger, with which the keys begin. */
  readonly kind: string;
}

/** The bounds of a ledger, in bytes. */
export interface LedgerLimits {
  readonly userBytes: number;
  readonly nodeBytes: number;
}

/**
 * What a node holds for peers that are slow or do not care, by user and in all. Where a new entry would exceed a bound, the
 * entries of that user, or of all, that have seen no progress for the longest time are cut: those who cause the shortage
 * pay for it, and not those who come next. The new entry itself is cut only where all others are moving. Threads of a process
 * share the bounds; each cuts its own entries.
 */
export class ByteLedger {
  readonly #limits: LedgerLimits;
  readonly #now: () => number;
  /** With the time of the last progress in ms; the longest without any first. */
  readonly #entries = new Map<LedgerEntry, number>();
  readonly #users = new Map<string, number>();
  readonly #shared: SharedLedger | undefined;
  #bytes = 0;

  /** `now` returns a time in ms that never goes back. */
  constructor(limits: LedgerLimits, now: () => number = () => performance.now(), shared?: SharedLedger) {
    this.#limits = limits;
    this.#now = now;
    this.#shared = shared;
  }

  /** The bytes of all entries of this thread. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds an entry, and cuts others, or this one, until the bounds hold. */
  add(entry: LedgerEntry): void {
    this.#entries.set(entry, this.#now());
    this.#count(entry, entry.bytes);
    const { user } = entry;
    const { userBytes, nodeBytes } = this.#limits;
    if (user !== undefined && this.#of(user) > userBytes) {
      this.#shed(
        entry,
        "userBytes",
        (other) => other.user === user,
        () => this.#of(user) > userBytes,
      );
    }
    if (this.#ofNode() > nodeBytes) {
      this.#shed(
        entry,
        "nodeBytes",
        () => true,
        () => this.#ofNode() > nodeBytes,
      );
    }
  }

  /** Notes that the peer has taken or sent some of the bytes. */
  progress(entry: LedgerEntry): void {
    // Not for an entry that has been removed.
    if (this.#entries.delete(entry)) this.#entries.set(entry, this.#now());
  }

  /** Removes an entry; without effect for one that is not there. */
  remove(entry: LedgerEntry): void {
    if (this.#entries.delete(entry)) this.#count(entry, -entry.bytes);
  }

  /** Cuts the entries that have seen no progress for `stallMs`. */
  cutStalled(stallMs: number): void {
    const before = this.#now() - stallMs;
    for (const [entry, at] of this.#entries) {
      if (at > before) return;
      this.#cut(entry, "stalled");
    }
  }

  #shed(
    added: LedgerEntry,
    reason: LedgerReason,
    isCandidate: (entry: LedgerEntry) => boolean,
    isBeyond: () => boolean,
  ): void {
    const before = this.#now() - graceMs;
    for (const [entry, at] of this.#entries) {
      if (!isBeyond()) return;
      if (at > before) break;
      if (isCandidate(entry)) this.#cut(entry, reason);
    }
    if (isBeyond()) this.#cut(added, reason);
  }

  #cut(entry: LedgerEntry, reason: LedgerReason): void {
    if (!this.#entries.has(entry)) return;
    this.remove(entry);
    entry.cut(reason);
  }

  #of(user: string): number {
    return Math.max(this.#users.get(user) ?? 0, this.#countOfProcess(`user\n${user}`));
  }

  #ofNode(): number {
    return Math.max(this.#bytes, this.#countOfProcess("node"));
  }

  /** The bytes of all threads of the process; 0 if it has only one. */
  #countOfProcess(key: string): number {
    return this.#shared ? this.#shared.processCounts.get(`${this.#shared.kind}\n${key}`) : 0;
  }

  #addToProcess(key: string, bytes: number): void {
    this.#shared?.processCounts.add(`${this.#shared.kind}\n${key}`, bytes);
  }

  #count({ user }: LedgerEntry, bytes: number): void {
    this.#bytes += bytes;
    this.#addToProcess("node", bytes);
    if (user === undefined) return;
    this.#addToProcess(`user\n${user}`, bytes);
    const left = (this.#users.get(user) ?? 0) + bytes;
    if (left > 0) this.#users.set(user, left);
    else this.#users.delete(user);
  }
}
