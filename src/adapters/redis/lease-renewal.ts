import type { OnlineTotals } from "../../ports/presence.ts";
import type { Held, LocalMembers } from "./local-members.ts";
import { idOf, type Kicked, type Place, type PresenceCommands } from "./presence-commands.ts";

/** Leases that are renewed at once: who asks meanwhile waits for them, some milliseconds. */
const membersTogether = 500;

/** What a round has found out. */
export interface LeaseListener {
  /** So many are in a place. */
  counted(place: Place, tally: OnlineTotals): void;
  /** The tenant's count is another than with the last round. */
  changed(tenant: string): void;
  /** A connection is no longer in a room, and may not have heard of it. */
  lost(place: Place, kicked: Kicked): void;
}

/** Tells Redis again what the node holds, and what it no longer holds, round by round. */
export class LeaseRenewal {
  readonly #places: PresenceCommands;
  readonly #holdings: LocalMembers;
  readonly #gone: Map<string, Held>;
  readonly #everyMs: number;
  readonly #listener: LeaseListener;
  /** The counts of the last round, by tenant. */
  #counts = new Map<string, OnlineTotals>();
  #startedAt: number | undefined;
  #dueAt = 0;
  #closed = false;

  /** `gone`: what Redis still is to be told of who left; it is emptied. */
  constructor(
    places: PresenceCommands,
    holdings: LocalMembers,
    gone: Map<string, Held>,
    everyMs: number,
    listener: LeaseListener,
  ) {
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

  /** A round, of all or of what Redis was not told; answers whether it was one, for there is at most one at a time. Rejects when Redis fails. */
  async run(all: boolean): Promise<boolean> {
    if (this.#startedAt !== undefined || this.#closed) return false;
    this.#startedAt = performance.now();
    const dueAt = this.#startedAt + this.#everyMs;
    try {
      await this.#places.ping();
      await this.#forget();
      if (all) await this.#renewAll();
      else await this.#each(this.#holdings.all().map(untold).flatMap(chunks), (chunk) => this.#renew(...chunk));
      if (all) this.#dueAt = dueAt;
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
    const byPlace = Map.groupBy([...this.#gone], ([, { place }]) => idOf(place));
    await this.#each(
      [...byPlace.values()].map((gone) => gone.map(([, held]) => held)).flatMap(chunks),
      async (chunk) => {
        const [place, some] = chunk;
        // Who is back meanwhile stays.
        const left = some.filter(({ member }) => !this.#holdings.get(place, member));
        if (left.length > 0) await this.#places.leave(place, left.map(toMember));
        for (const { member } of some) this.#gone.delete(`${idOf(place)}\n${member}`);
      },
    );
  }

  async #renewAll(): Promise<void> {
    const all = this.#holdings.all();
    const tenants = new Set(all.map(([held]) => held?.place.tenant ?? ""));
    await this.#places.register([...tenants]);
    const counts = new Map<string, OnlineTotals>();
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

  async #renew(place: Place, some: readonly Held[]): Promise<OnlineTotals> {
    // What was not answered yet must not come in by the back door.
    const held = some.filter(({ member, pending }) => !pending && this.#holdings.get(place, member));
    const { tally, lost } = await this.#places.renew(
      place,
      held.map(({ member, info }) => [member, info]),
    );
    this.#listener.counted(place, tally);
    for (const { member, token } of held) if (lost.includes(member)) this.#listener.lost(place, { member, token });
    for (const each of held) each.told = true;
    // Who left meanwhile may have left before the renewal came through.
    const left = held.filter(({ member }) => !this.#holdings.get(place, member));
    if (left.length > 0) await this.#places.leave(place, left.map(toMember));
    return tally;
  }

  /** Many small places at once, or few large ones. */
  async #each(chunks: readonly Chunk[], call: (chunk: Chunk) => Promise<unknown>): Promise<void> {
    for (let from = 0; from < chunks.length && !this.#closed; ) {
      const together: Chunk[] = [];
      for (let members = 0; from < chunks.length && members < membersTogether; from++) {
        const chunk = chunks[from] as Chunk;
        together.push(chunk);
        // Each script costs as much as some members.
        members += chunk[1].length + 10;
      }
      await Promise.all(together.map(call));
    }
  }
}

/** Some of what is held in one place. */
type Chunk = readonly [place: Place, some: readonly Held[]];

function untold(all: readonly Held[]): readonly Held[] {
  return all.filter(({ told }) => !told);
}

function chunks(all: readonly Held[]): Chunk[] {
  const [first] = all;
  if (!first) return [];
  const parts: Chunk[] = [];
  for (let from = 0; from < all.length; from += membersTogether) {
    parts.push([first.place, all.slice(from, from + membersTogether)]);
  }
  return parts;
}

function toMember({ member }: Held): string {
  return member;
}
