import type { OnlineTotals } from "../../ports/presence.ts";
import { LruCache } from "../../util/lru.ts";
import type { LocalMembers } from "./local-members.ts";
import { idOf, type Place } from "./presence-commands.ts";

/** Places whose last count is remembered; the one that was longest not asked for goes first. */
const maxKnown = 10_000;

interface Known {
  readonly all: OnlineTotals;
  /** This node's part of it. */
  readonly own: OnlineTotals;
  /** In ms since the Unix epoch. */
  readonly at: number;
}

/** The counts that Redis gave last, for when it gives none. */
export class LastCounts {
  readonly #holdings: LocalMembers;
  readonly #known = new LruCache<string, Known>({ entries: maxKnown });
  /** Before the first answer, nothing is known of others since the start. */
  readonly #start = Date.now();

  constructor(holdings: LocalMembers) {
    this.#holdings = holdings;
  }

  /** Remembers a count; answers whether it is another than the last one. */
  learn(place: Place, all: OnlineTotals): boolean {
    const id = idOf(place);
    const before = this.#known.peek(id)?.all;
    this.#known.set(id, { all, own: this.#holdings.tally(place), at: Date.now() });
    return before?.users !== all.users || before.connections !== all.connections;
  }

  /** The last count, with what has changed on this node since. */
  guess(place: Place): OnlineTotals {
    const now = this.#holdings.tally(place);
    const { all, own, at } = this.#known.peek(idOf(place)) ?? { all: now, own: now, at: this.#start };
    return {
      users: Math.max(now.users, all.users + now.users - own.users),
      connections: Math.max(now.connections, all.connections + now.connections - own.connections),
      asOf: at,
    };
  }
}
