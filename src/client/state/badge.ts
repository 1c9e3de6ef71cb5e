/**
 * The unread rule: how totals follow a stream without asking. Hello's totals are true at CaughtUp; those of a read_state
 * are true where it stands; from there on each live NOTIFICATION adds one.
 */
import type { UnreadTotals } from "../events.ts";
import { type Observable, Variable } from "./observable.ts";

/** The totals of one client. */
export class Badge {
  readonly #totals = new Variable<UnreadTotals | undefined>(undefined);
  /** Whether messages from here on are not in the totals yet. */
  #counting = false;

  /** The totals; `undefined` before the first Hello, and for services. */
  get totals(): Observable<UnreadTotals | undefined> {
    return this.#totals;
  }

  /** A stream began: its totals hold already what is about to be replayed. */
  hello(unread: UnreadTotals | undefined): void {
    this.#counting = false;
    this.#totals.set(unread);
  }

  /** The replay is over. */
  caughtUp(): void {
    this.#counting = true;
  }

  /** The totals are true here. */
  readState(unread: UnreadTotals | undefined): void {
    if (unread === undefined) return;
    this.#counting = true;
    this.#totals.set(unread);
  }

  /** A NOTIFICATION with a place in a feed. */
  notification(category: string): void {
    const before = this.#totals.value;
    if (!this.#counting || before === undefined) return;
    const counted = Object.hasOwn(before.byCategory, category) ? (before.byCategory[category] ?? 0) : 0;
    this.#totals.set({
      total: before.total + 1,
      byCategory: { ...before.byCategory, [category]: counted + 1 },
      version: before.version,
    });
  }

  /** Totals of a unary answer: news only if their version is greater than the last seen; the stream will repeat them. */
  answer(unread: UnreadTotals | undefined): void {
    const before = this.#totals.value;
    if (unread === undefined) return;
    if (before === undefined || BigInt(unread.version) > BigInt(before.version)) this.#totals.set(unread);
  }
}
