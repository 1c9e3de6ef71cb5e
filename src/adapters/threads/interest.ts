import type { FeedInterest, Notice } from "../../ports/bus.ts";
import type { FeedKey } from "../../ports/store.ts";
import { fnv1a } from "../../util/keys.ts";
import { cells } from "./link.ts";

/**
 * The interest of a thread in feeds, in its cells: a count for each slot, to which feeds are hashed. Other threads read it
 * before they post, since waking a thread costs more than everything else about a notice. Where feeds share a slot, the
 * thread is posted notices of all of them, and ignores those that it does not need.
 */
export class ThreadInterest implements FeedInterest {
  readonly #cells: Int32Array;

  /** `own` are the cells of the thread. It hears everything until `restrict` is called. */
  constructor(own: Int32Array) {
    this.#cells = own;
  }

  restrict(): void {
    Atomics.store(this.#cells, cells.isRestricted, 1);
  }

  add(feed: FeedKey): void {
    Atomics.add(this.#cells, slotOf(feed), 1);
  }

  delete(feed: FeedKey): void {
    Atomics.sub(this.#cells, slotOf(feed), 1);
  }
}

/** Whether a thread with these cells wants notices with this slot, as `interestSlot` returns it. */
export function wants(theirs: Int32Array, slot: number | undefined): boolean {
  return slot === undefined || Atomics.load(theirs, slot) > 0 || Atomics.load(theirs, cells.isRestricted) === 0;
}

/** Returns the slot of a notice that only followers of its feed need; undefined for a notice that every thread needs. */
export function interestSlot(notice: Notice): number | undefined {
  if (notice.type === "entry" || notice.type === "live") return slotOf(notice.feed);
  if (notice.type === "read") return slotOf({ tenant: notice.tenant, name: `user/${notice.user}` });
  return undefined;
}

function slotOf({ tenant, name }: FeedKey): number {
  const hash = fnv1a(name, fnv1a("\n", fnv1a(tenant)));
  return cells.interest + (((hash ^ (hash >>> 16)) >>> 0) % cells.interestSlots);
}
