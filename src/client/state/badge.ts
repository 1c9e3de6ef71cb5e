/**
 * Counts unread messages from the stream alone. The totals of Hello are exact at CaughtUp, those of a ReadState at its
 * position in the stream, and each NOTIFICATION after that adds one.
 */
import type { UnreadTotals } from "../events.ts";
import { Variable } from "./observable.ts";

/** The most categories that totals name. Further ones count under `other`, here as on the server. */
const maxCategories = 100;
const other = "(other)";

/** The unread totals of one client. */
export class Badge {
  /** The totals; undefined before the first Hello, and for services. */
  readonly totals: Variable<UnreadTotals | undefined>;
  /** Whether the totals leave out the messages that follow. During the replay they include them. */
  #counting = false;

  /** `threw` is called with each error of a listener of the totals. */
  constructor(threw?: (thrown: unknown) => void) {
    this.totals = new Variable<UnreadTotals | undefined>(undefined, threw);
  }

  /** Takes the totals of Hello, which include the messages that are replayed next. */
  hello(unread: UnreadTotals | undefined): void {
    this.#counting = false;
    this.totals.set(unread);
  }

  /** Starts to count: the replay is over. */
  caughtUp(): void {
    this.#counting = true;
  }

  /** Takes totals that are exact at this position of the stream. */
  readState(unread: UnreadTotals | undefined): void {
    if (!unread) return;
    this.#counting = true;
    this.totals.set(unread);
  }

  /** Counts a NOTIFICATION that has a position in a feed. */
  notification(category: string): void {
    const before = this.totals.value;
    if (!this.#counting || !before) return;
    const { byCategory } = before;
    // Not a number where the object inherits something of this name, such as its constructor.
    const countOf = (name: string) => Number(byCategory[name]) || 0;
    const name = countOf(category) || Object.keys(byCategory).length < maxCategories ? category : other;
    this.totals.set({ ...before, total: before.total + 1, byCategory: { ...byCategory, [name]: countOf(name) + 1 } });
  }

  /** Takes the totals of a unary response if their version is newer. The stream repeats them in a ReadState. */
  answer(unread: UnreadTotals | undefined): void {
    const before = this.totals.value;
    if (unread && !(before && BigInt(before.version) >= BigInt(unread.version))) this.totals.set(unread);
  }
}
