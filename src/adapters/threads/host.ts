/**
 * The first thread's part of a process whose event loops run in several threads. It owns the thread of the embedded store,
 * presence and the shared buckets of the rate limits, and introduces the threads to each other.
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { StoreFigures, StoreHealth, StoreInfo } from "../../ports/store.ts";
import { type SqliteOptions, SqliteStore } from "../sqlite/store.ts";
import { BusHost } from "./bus-host.ts";
import type { ThreadLink } from "./link.ts";
import { PresenceHost } from "./presence-host.ts";
import { RateLimiterHost } from "./rate-limiter-host.ts";
import { StoreHost } from "./store-host.ts";

/** The connection of a new event-loop thread. */
export interface ThreadConnection {
  /** What the thread gives to `openThreadPorts`; goes into its `workerData`. */
  readonly link: ThreadLink;
  /** Goes into its `transferList`. */
  readonly transfer: MessagePort[];
}

/** The host of the event-loop threads of one process. */
export class ThreadHost {
  /** Resolves to the reason once the store has failed for good, and stays pending otherwise. All its calls fail from then on. */
  readonly failed: Promise<Error>;
  readonly #store: SqliteStore;
  readonly #bus = new BusHost();
  readonly #presence = new PresenceHost();
  readonly #limiter = new RateLimiterHost();
  #opened: { readonly info: StoreInfo; readonly host: StoreHost } | undefined;
  #lastId = 0;

  /** Starts the thread of the store. */
  constructor(options: SqliteOptions) {
    this.#store = new SqliteStore(options);
    const failure = Promise.withResolvers<Error>();
    this.failed = failure.promise;
    this.#store.watch(({ state, reason }) => state === "failed" && failure.resolve(new Error(reason)));
  }

  /** Opens the store. Rejects as `Store.open` does; nothing is left to close then. */
  async open(): Promise<void> {
    const info = await this.#store.open();
    this.#opened = { info, host: new StoreHost(this.#store) };
  }

  /** Connects a new event-loop thread. Throws an Error unless the host is open. */
  connect(): ThreadConnection {
    if (!this.#opened) throw new Error("the host of the threads is not open");
    const { info, host } = this.#opened;
    const id = ++this.#lastId;
    const [store, bus, presence, limiter] = [0, 1, 2, 3].map(() => new MessageChannel()) as [
      MessageChannel,
      MessageChannel,
      MessageChannel,
      MessageChannel,
    ];
    host.connect(id, store.port1);
    const cells = this.#bus.connect(id, bus.port1);
    this.#presence.connect(id, presence.port1);
    this.#limiter.connect(id, limiter.port1);
    const ports = { store: store.port2, bus: bus.port2, presence: presence.port2, limiter: limiter.port2 };
    return { link: { id, info, cells, ...ports }, transfer: Object.values(ports) };
  }

  /**
   * Forgets a thread that has ended: its connections leave presence at once, and answers to its calls in flight are dropped.
   * Calling it again changes nothing.
   */
  disconnect({ id }: Pick<ThreadLink, "id">): void {
    this.#opened?.host.disconnect(id);
    this.#bus.disconnect(id);
    this.#presence.disconnect(id);
    this.#limiter.disconnect(id);
  }

  /** Calls `listener` with the health of the store, now and whenever it changes, until the returned function is called. */
  watch(listener: (health: StoreHealth) => void): () => void {
    return this.#store.watch(listener);
  }

  /** Returns values of the store for operators. */
  figures(): StoreFigures {
    return this.#store.figures();
  }

  /** Closes the store, after its calls in flight. To be called once all threads have closed their ports or have ended. */
  async close(): Promise<void> {
    this.#opened?.host.close();
    this.#bus.close();
    this.#presence.close();
    this.#limiter.close();
    await this.#store.close();
  }
}
