import type { UserIdentity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import { type Transport, transports } from "../metrics/counters.ts";
import type { Node } from "./context.ts";
import type { Subscription } from "./subscription.ts";

const goingAway = "the server is going away";

/** The streams of one transport at a moment. */
export interface StreamFigures {
  open: number;
  /** Those whose readers take nothing for now, or that read from the Store what fell off the ring. */
  lagging: number;
  /** Bytes that wait in their transports. */
  queued: number;
}

/** The open streams of a node. */
export class Streams {
  readonly #open = new Map<string, Subscription>();
  /** With their tenants. */
  readonly #beginning = new Map<Subscription, string | undefined>();
  #whenEmpty: (() => void)[] = [];
  /** Set once the node drains. */
  #afterMs: (() => number) | undefined;
  /** Messages that streams were handed so far; the hot path adds to it, once per batch. */
  delivered = 0;

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** How many have had no Hello; of one tenant, if it is given. */
  beginning(tenant?: string): number {
    if (tenant === undefined) return this.#beginning.size;
    return [...this.#beginning.values()].filter((own) => own === tenant).length;
  }

  /** The node is on its way out. */
  get draining(): boolean {
    return this.#afterMs !== undefined;
  }

  /** Looks at every stream: for operators. */
  figures(): ReadonlyMap<Transport, StreamFigures> {
    const all = new Map(transports.map((transport) => [transport, { open: 0, lagging: 0, queued: 0 }]));
    for (const { transport, load } of this.#open.values()) {
      const figures = all.get(transport) as StreamFigures;
      const { lagging, queued } = load;
      figures.open++;
      figures.queued += queued;
      if (lagging) figures.lagging++;
    }
    return all;
  }

  /** One that comes while the node drains is told to go, too. */
  add(stream: Subscription, tenant: string | undefined): void {
    this.#open.set(stream.id, stream);
    this.#beginning.set(stream, tenant);
    if (this.#afterMs) stream.drain(this.#afterMs(), goingAway);
  }

  /** Its Hello is made. */
  began(stream: Subscription): void {
    this.#beginning.delete(stream);
  }

  delete(stream: Subscription): void {
    this.#beginning.delete(stream);
    this.#open.delete(stream.id);
    if (this.#open.size > 0) return;
    for (const resolve of this.#whenEmpty) resolve();
    this.#whenEmpty = [];
  }

  /** How many pass a test. */
  count(test: (stream: Subscription) => boolean): number {
    return [...this.#open.values()].filter(test).length;
  }

  /** A stream has lost a room. */
  kick(id: string, room: string): void {
    this.#open.get(id)?.kick(room);
  }

  /** Tells all streams to go; `afterMs` gives each the time after which its client shall return. */
  async drain(afterMs: () => number): Promise<void> {
    this.#afterMs = afterMs;
    if (this.#open.size === 0) return;
    const empty = new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
    for (const stream of this.#open.values()) stream.drain(afterMs(), goingAway);
    return empty;
  }

  /** Closes what is still open. */
  close(): void {
    for (const stream of this.#open.values()) stream.close();
  }
}

/** A page in a loop of reconnects must not eat the node. Throws TOO_MANY_STREAMS. */
export function checkStreams({ hub, settings }: Node, { tenant, subject }: UserIdentity): void {
  const { maxStreamsPerUser } = settings;
  if (hub.streamsOf(tenant, subject) < maxStreamsPerUser) return;
  const metadata = { limit: String(maxStreamsPerUser) };
  const sentence = `the user has ${maxStreamsPerUser} open streams; close some`;
  throw fail("TOO_MANY_STREAMS", sentence, { retryAfterMs: 5000, metadata });
}
