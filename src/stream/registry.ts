import type { UserIdentity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import type { Hub } from "../feeds/hub.ts";
import { type Transport, transports } from "../metrics/counters.ts";

/** What the registry keeps of a stream, and asks of it. */
export interface RegisteredStream {
  readonly id: string;
  readonly transport: Transport;
  /** Whether its reader takes nothing for now, or it waits for the Store; and bytes in its transport. */
  readonly load: { readonly lagging: boolean; readonly queued: number };
  /** Says go_away and ends, at its next step. */
  drain(afterMs: number, message: string): void;
  /** Another stream took the room. */
  kick(room: string): void;
  /** Whether the stream is the user's, and was opened with this token; "" is any. */
  isOf(owner: { readonly tenant: string; readonly user: string; readonly tokenId: string }): boolean;
  close(): void;
}

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
export class StreamRegistry {
  readonly #open = new Map<string, RegisteredStream>();
  /** With their tenants. */
  readonly #beginning = new Map<RegisteredStream, string | undefined>();
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
  add(stream: RegisteredStream, tenant: string | undefined): void {
    this.#open.set(stream.id, stream);
    this.#beginning.set(stream, tenant);
    if (this.#afterMs) stream.drain(this.#afterMs(), goingAway);
  }

  /** Its Hello is made. */
  began(stream: RegisteredStream): void {
    this.#beginning.delete(stream);
  }

  delete(stream: RegisteredStream): void {
    this.#beginning.delete(stream);
    this.#open.delete(stream.id);
    if (this.#open.size > 0) return;
    for (const resolve of this.#whenEmpty) resolve();
    this.#whenEmpty = [];
  }

  /** How many pass a test. */
  count(test: (stream: RegisteredStream) => boolean): number {
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
export function checkStreams(hub: Hub, limit: number, { tenant, subject }: UserIdentity): void {
  if (hub.streamsOf(tenant, subject) < limit) return;
  const metadata = { limit: String(limit) };
  const sentence = `the user has ${limit} open streams; close some`;
  throw fail("TOO_MANY_STREAMS", sentence, { retryAfterMs: 5000, metadata });
}
