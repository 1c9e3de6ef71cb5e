import type { OnlineTally } from "../../presence.ts";
import type { Held, Holdings } from "./holdings.ts";
import { idOf, type Kicked, type Place, type Places } from "./places.ts";

/** Leases that one script renews: Redis does nothing else meanwhile. */
const membersTogether = 500;
/** Scripts under way at once. */
const scriptsTogether = 64;

/** What a round has found out. */
export interface RenewalListener {
  /** So many are in a place. */
  counted(place: Place, tally: OnlineTally): void;
  /** The tenant's count is another than with the last round. */
  changed(tenant: string): void;
  /** A connection is no longer in a room, and may not have heard of it. */
  lost(place: Place, kicked: Kicked): void;
}

/** Tells Redis again what the node holds, and what it no longer holds, round by round. */
export class Renewal {
  readonly #places: Places;
  readonly #holdings: Holdings;
  readonly #gone: Map<string, Held>;
  readonly #everyMs: number;
  readonly #listener: RenewalListener;
  /** The counts of the last round, by tenant. */
  #counts = new Map<string, OnlineTally>();
  #startedAt: number | undefined;
  #dueAt = 0;
  #closed = false;

  /** `gone`: what Redis still is to be told of who left; it is emptied. */
  constructor(places: Places, holdings: Holdings, gone: Map<string, Held>, everyMs: number, listener: RenewalListener) {
    this.#places = places;
    this.#holdings = holdings;
    this.#gone = gone;
    this.#everyMs = everyMs;
    this.#listener = listener;
  }

  get isDue(): boolean {
    return performance.now() >= this.#dueAt;
  }

  /** For how long the round under way has been so, in ms; 0 without one. */
  get hangsFor(): number {
    return this.#startedAt === undefined ? 0 : performance.now() - this.#startedAt;
  }

  /** A round; answers whether it was one, for there is at most one at a time. Rejects when Redis fails. */
  async run(): Promise<boolean> {
    if (this.#startedAt !== undefined || this.#closed) return false;
    this.#startedAt = performance.now();
    const dueAt = this.#startedAt + this.#everyMs;
    try {
      await this.#forget();
      await this.#renewAll();
      this.#dueAt = dueAt;
    } finally {
      this.#startedAt = undefined;
    }
    return !this.#closed;
  }

  /** Takes members of one place out. */
  async leave(all: readonly Held[]): Promise<void> {
    await Promise.all(chunks(all).map(([place, some]) => this.#places.leave(place, some.map(toMember))));
  }

  /** Renews nothing more. */
  close(): void {
    this.#closed = true;
  }

  async #forget(): Promise<void> {
    const gone = [...this.#gone];
    await this.#each(gone, async ([key, held]) => {
      // Who is back meanwhile stays.
      if (!this.#holdings.get(held.place, held.member)) await this.#places.leave(held.place, [held.member]);
      this.#gone.delete(key);
    });
  }

  async #renewAll(): Promise<void> {
    const all = this.#holdings.all();
    const tenants = new Set(all.map(([held]) => held?.place.tenant ?? ""));
    await this.#places.register([...tenants]);
    const counts = new Map<string, OnlineTally>();
    await this.#each(all.flatMap(chunks), async ([place, some]) => {
      const tally = await this.#renew(place, some);
      if (place.room === undefined) counts.set(idOf(place), tally);
    });
    const before = this.#counts;
    this.#counts = counts;
    for (const tenant of tenants) {
      const id = idOf({ tenant, room: undefined });
      const [old, now] = [before.get(id), counts.get(id)];
      if (old?.users !== now?.users || old?.connections !== now?.connections) this.#listener.changed(tenant);
    }
  }

  async #renew(place: Place, some: readonly Held[]): Promise<OnlineTally> {
    // What was not answered yet must not come in by the back door.
    const held = some.filter(({ member, pending }) => !pending && this.#holdings.get(place, member));
    const { tally, lost } = await this.#places.renew(
      place,
      held.map(({ member, info }) => [member, info]),
    );
    this.#listener.counted(place, tally);
    for (const { member, token } of held) if (lost.includes(member)) this.#listener.lost(place, { member, token });
    // Who left meanwhile may have left before the renewal came through.
    const left = held.filter(({ member }) => !this.#holdings.get(place, member));
    if (left.length > 0) await this.#places.leave(place, left.map(toMember));
    return tally;
  }

  async #each<T>(items: readonly T[], call: (item: T) => Promise<void>): Promise<void> {
    for (let from = 0; from < items.length && !this.#closed; from += scriptsTogether) {
      await Promise.all(items.slice(from, from + scriptsTogether).map(call));
    }
  }
}

function chunks(all: readonly Held[]): [Place, readonly Held[]][] {
  const [first] = all;
  if (!first) return [];
  const parts: [Place, readonly Held[]][] = [];
  for (let from = 0; from < all.length; from += membersTogether) {
    parts.push([first.place, all.slice(from, from + membersTogether)]);
  }
  return parts;
}

function toMember({ member }: Held): string {
  return member;
}
