import type { UserIdentity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import type { Hub } from "../feeds/hub.ts";
import { type Transport, transports } from "../metrics/counters.ts";

/** A stream as the registry sees it. */
export interface RegisteredStream {
  readonly id: string;
  readonly transport: Transport;
  /** `lagging`: the reader takes nothing for now, or the stream waits for the Store. `queued`: bytes in the transport. */
  readonly load: { readonly lagging: boolean; readonly queued: number };
  /** Says go_away and ends the stream, at its next step. */
  drain(afterMs: number, message: string): void;
  /** Another stream took the room: nothing of it is sent from now on. */
  kick(room: string): void;
  /** Ends the stream if the key that signed its token was withdrawn. */
  recheckKey(): void;
  /** Whether the stream belongs to the user and uses this token; the token "" stands for any. */
  isOf(owner: { readonly tenant: string; readonly user: string; readonly tokenId: string }): boolean;
  /** Frees everything that the stream holds on the node. */
  close(): void;
}

const goingAway = "the server is going away";

/** The streams of one transport now. */
export interface StreamFigures {
  open: number;
  /** Streams whose readers take nothing for now, or that wait for the Store. */
  lagging: number;
  /** Bytes in their transports. */
  queued: number;
}

/** The open streams of a node. */
export class StreamRegistry {
  readonly #open = new Map<string, RegisteredStream>();
  /** The streams without a Hello, with their tenants. */
  readonly #beginning = new Map<RegisteredStream, string | undefined>();
  #whenEmpty: (() => void)[] = [];
  /** Returns the delay for a client's return, in ms. Set once the node drains. */
  #afterMs: (() => number) | undefined;
  /** Deliveries so far, one for each message and stream. Streams add to it once per batch. */
  delivered = 0;

  /** The number of open streams. */
  get size(): number {
    return this.#open.size;
  }

  /** The number of streams without a Hello, of one tenant or of all. */
  beginning(tenant?: string): number {
    if (tenant === undefined) return this.#beginning.size;
    return [...this.#beginning.values()].filter((other) => other === tenant).length;
  }

  /** Whether the node drains. */
  get draining(): boolean {
    return this.#afterMs !== undefined;
  }

  /** The streams now, by transport, for operators. Visits every stream. */
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

  /** Adds a stream. While the node drains the stream is drained at once. */
  add(stream: RegisteredStream, tenant: string | undefined): void {
    this.#open.set(stream.id, stream);
    this.#beginning.set(stream, tenant);
    if (this.#afterMs) stream.drain(this.#afterMs(), goingAway);
  }

  /** The stream has its Hello. */
  began(stream: RegisteredStream): void {
    this.#beginning.delete(stream);
  }

  /** Removes a stream that is closed. */
  delete(stream: RegisteredStream): void {
    this.#beginning.delete(stream);
    this.#open.delete(stream.id);
    if (this.#open.size > 0) return;
    for (const resolve of this.#whenEmpty) resolve();
    this.#whenEmpty = [];
  }

  /** The number of streams that pass a test. */
  count(test: (stream: RegisteredStream) => boolean): number {
    return [...this.#open.values()].filter(test).length;
  }

  /** Another stream took the room from the stream of this id, if it is on this node. */
  kick(id: string, room: string): void {
    this.#open.get(id)?.kick(room);
  }

  /** Keys were withdrawn: ends the streams whose tokens they signed. */
  recheckKeys(): void {
    for (const stream of this.#open.values()) stream.recheckKey();
  }

  /**
   * Drains every stream, and each that is added later; resolves when none is left. For each, `afterMs` returns the
   * delay in ms after which its client should return.
   */
  async drain(afterMs: () => number): Promise<void> {
    this.#afterMs = afterMs;
    if (this.#open.size === 0) return;
    const empty = new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
    for (const stream of this.#open.values()) stream.drain(afterMs(), goingAway);
    return empty;
  }

  /** Closes every open stream. */
  close(): void {
    for (const stream of this.#open.values()) stream.close();
  }
}

/**
 * Throws TOO_MANY_STREAMS if the user has `limit` open streams on this node: a page that reconnects in a loop must not use
 * up the node.
 */
export function checkStreams(hub: Hub, limit: number, { tenant, subject }: UserIdentity): void {
  if (hub.streamsOf(tenant, subject) < limit) return;
  const metadata = { limit: String(limit) };
  const sentence = `the user has ${limit} open streams; close some`;
  throw fail("TOO_MANY_STREAMS", sentence, { retryAfterMs: 5000, metadata });
}
