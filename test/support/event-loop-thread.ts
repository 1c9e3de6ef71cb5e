/** A thread that opens the ports of its link and takes commands from the test: its program, and the test's side of it. */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { ThreadHost } from "../../src/adapters/threads/host.ts";
import type { ThreadLink } from "../../src/adapters/threads/link.ts";
import { openThreadPorts, type ThreadPorts } from "../../src/adapters/threads/ports.ts";
import type { BusEvent, BusFigures, FeedInterest, Notice } from "../../src/ports/bus.ts";
import type { PresenceChange } from "../../src/ports/presence.ts";
import type { FeedKey, StoreHealth } from "../../src/ports/store.ts";
import { message } from "./store-messages.ts";

type Request = readonly [id: number, port: string, method: string, args: readonly unknown[]];
type Response =
  | { readonly type: "answer"; readonly id: number; readonly value?: unknown; readonly error?: string }
  | { readonly type: "heard"; readonly heard: Heard }
  | { readonly type: "change"; readonly change: PresenceChange }
  | { readonly type: "health"; readonly health: StoreHealth };

/** An event of the bus, as it can be posted. */
export type Heard = Notice | { readonly type: "lost"; readonly certain: boolean };

/** An event-loop thread, as the test sees it. */
export class EventLoopThread {
  readonly id: number;
  readonly heard: Heard[] = [];
  readonly changes: PresenceChange[] = [];
  readonly health: StoreHealth[] = [];
  readonly #worker: Worker;
  readonly #host: ThreadHost;
  readonly #pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #nextId = 1;

  constructor(host: ThreadHost) {
    const { link, transfer } = host.connect();
    this.id = link.id;
    this.#host = host;
    this.#worker = new Worker(new URL(import.meta.url), { workerData: link, transferList: transfer, execArgv: [] });
    this.#worker.on("message", (response: Response) => this.#take(response));
    this.#worker.on("exit", () => {
      for (const { reject } of this.#pending.values()) reject(new Error("the thread has ended"));
    });
  }

  /** Calls a method of one of the ports in the thread. */
  call<T>(port: keyof ThreadPorts, method: string, ...args: unknown[]): Promise<T> {
    return this.#ask(port, method, args) as Promise<T>;
  }

  publish(...notices: Notice[]): Promise<void> {
    return this.call("bus", "publish", notices);
  }

  figures(): Promise<BusFigures> {
    return this.call("bus", "figures");
  }

  /** Blocks the thread's event loop until the cell is no longer 0. */
  block(cell: SharedArrayBuffer): Promise<void> {
    return this.#ask("thread", "block", [cell]) as Promise<void>;
  }

  /** Appends messages to a feed and announces each, one after the other. */
  announce(feed: FeedKey, count: number): Promise<void> {
    return this.#ask("thread", "announce", [feed, count]) as Promise<void>;
  }

  /**
   * Takes an interest in a feed, asks the store for its end, and resolves to that and to what is heard beyond it, once the
   * message with the seq `last` is read or heard.
   */
  follow(feed: FeedKey, last: number): Promise<{ end: number; beyond: readonly number[] }> {
    return this.#ask("thread", "follow", [feed, last]) as Promise<{ end: number; beyond: readonly number[] }>;
  }

  /** Closes the ports, and ends the thread. */
  async close(): Promise<void> {
    await this.#ask("thread", "close", []);
    await this.end();
  }

  /** Terminates the thread, whatever it is doing. */
  async end(): Promise<void> {
    await this.#worker.terminate();
    this.#host.disconnect(this);
  }

  #ask(port: string, method: string, args: readonly unknown[]): Promise<unknown> {
    const id = this.#nextId++;
    const answer = new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    this.#worker.postMessage([id, port, method, args] satisfies Request);
    return answer;
  }

  #take(response: Response): void {
    switch (response.type) {
      case "heard":
        this.heard.push(response.heard);
        break;
      case "change":
        this.changes.push(response.change);
        break;
      case "health":
        this.health.push(response.health);
        break;
      case "answer": {
        const pending = this.#pending.get(response.id);
        this.#pending.delete(response.id);
        if (response.error === undefined) pending?.resolve(response.value);
        else pending?.reject(new Error(response.error));
      }
    }
  }
}

/** Starts a number of threads, and waits until each of them knows all others. */
export async function startThreads(host: ThreadHost, count: number): Promise<EventLoopThread[]> {
  const threads = Array.from({ length: count }, () => new EventLoopThread(host));
  // The first call is answered once the ports are open.
  for (const thread of threads) await thread.call("store", "open");
  return threads;
}

function serve(): void {
  const ports = openThreadPorts(workerData as ThreadLink);
  let interest: FeedInterest | undefined;
  const post = (response: Response) => parentPort?.postMessage(response);
  ports.bus.subscribe((event: BusEvent) => {
    post({ type: "heard", heard: event.type === "lost" ? { type: "lost", certain: event.certain } : event });
  });
  ports.presence.watch((change) => post({ type: "change", change }));
  ports.store.watch?.((health) => post({ type: "health", health }));
  const own: Record<string, (...args: never[]) => unknown> = {
    block: (cell: SharedArrayBuffer) => void Atomics.wait(new Int32Array(cell), 0, 0),
    announce: async (feed: FeedKey, count: number) => {
      for (let index = 0; index < count; index++) {
        const append = message(feed.tenant, { feeds: [feed.name] });
        const [result] = await ports.store.append([append]);
        if (result?.outcome !== "stored") throw new Error("it was not stored");
        const { id, body, expireTime } = append;
        const seq = result.seqs[0] ?? 0;
        ports.bus.publish([{ type: "entry", feed, epoch: result.epoch, seq, id, body, expireTime }]);
      }
    },
    follow: async (feed: FeedKey, last: number) => {
      const heard = new Set<number>();
      const done = Promise.withResolvers<void>();
      const stop = ports.bus.subscribe((event) => {
        if (event.type !== "entry" || event.feed.name !== feed.name) return;
        heard.add(event.seq);
        if (event.seq === last) done.resolve();
      });
      interest ??= ports.bus.restrict?.();
      interest?.add(feed);
      const [bounds] = await ports.store.bounds([feed]);
      const end = bounds?.seq ?? 0;
      if (end < last) await done.promise;
      stop();
      return { end, beyond: [...heard].filter((seq) => seq > end).sort((a, b) => a - b) };
    },
    close: async () => {
      for (const port of Object.values(ports)) await port.close();
    },
  };
  parentPort?.on("message", async ([id, port, method, args]: Request) => {
    const target = (port === "thread" ? own : ports[port as keyof ThreadPorts]) as typeof own;
    try {
      post({ type: "answer", id, value: await target[method]?.(...(args as never[])) });
    } catch (error) {
      post({ type: "answer", id, error: (error as Error).message });
    }
  });
}

if (!isMainThread && parentPort && (workerData as Partial<ThreadLink> | undefined)?.cells) serve();
