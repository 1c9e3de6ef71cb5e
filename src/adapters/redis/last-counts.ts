import type { OnlineTotals } from "../../ports/presence.ts";
import { LruCache } from "../../util/lru.ts";
import type { LocalMembers } from "./local-members.ts";
import { type MemberSet, setKey } from "./presence-commands.ts";

/** The number of sets whose last count is kept. */
const maxCounts = 10_000;

interface LastCount {
  readonly all: OnlineTotals;
  /** This node's part of it. */
  readonly own: OnlineTotals;
  /** When Redis gave it, in ms since the Unix epoch. */
  readonly at: number;
}

/** The counts that Redis gave last, from which counts are estimated while Redis does not answer. */
export class LastCounts {
  readonly #members: LocalMembers;
  readonly #counts = new LruCache<string, LastCount>({ entries: maxCounts });
  /** The time of an estimate for a set that Redis has not counted yet: nothing is known of other nodes since. */
  readonly #start = Date.now();

  constructor(members: LocalMembers) {
    this.#members = members;
  }

  /** Records a count of Redis. */
  record(set: MemberSet, all: OnlineTotals): void {
    this.#counts.set(setKey(set), { all, own: this.#members.count(set), at: Date.now() });
  }

  /** Estimates a count: the last one, corrected by what has changed on this node since. */
  estimate(set: MemberSet): OnlineTotals {
    const now = this.#members.count(set);
    const { all, own, at } = this.#counts.peek(setKey(set)) ?? { all: now, own: now, at: this.#start };
    return {
      users: Math.max(now.users, all.users + now.users - own.users),
      connections: Math.max(now.connections, all.connections + now.connections - own.connections),
      asOf: at,
    };
  }
}
