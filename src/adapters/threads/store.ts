import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { Commit, CommitListener, Store, StoreFigures, StoreHealth, StoreInfo } from "../../ports/store.ts";
import { guard, warn } from "../../util/guard.ts";
import { Listeners } from "../../util/listeners.ts";
import { CallQueue } from "../sqlite/call-queue.ts";
import type { Call, ThreadMessage } from "../sqlite/protocol.ts";
import { StoreCalls } from "../sqlite/store-calls.ts";
import type { StoreMessage, StoreState, ThreadLink } from "./link.ts";

/**
 * Port Store in an event-loop thread. Calls go to the thread of the embedded store over a port of their own. The host
 * (store-host.ts) provides that port, another one after each restart of that thread, and the state of the store.
 */
export class ThreadStore extends StoreCalls implements Store {
  readonly #info: StoreInfo;
  readonly #control: MessagePort;
  readonly #committed: CommitListener;
  readonly #listeners = new Listeners<StoreHealth>();
  readonly #queue = new CallQueue(() => this.#keepAlive());
  #port: MessagePort | undefined;
  #state: StoreState = { health: { state: "usable", reason: "" }, writeRefusal: undefined, figures: {} };

  /** `committed` is called after commits. Each commit is reported to one of the threads of the process. */
  constructor({ info, store: control }: Pick<ThreadLink, "info" | "store">, committed: CommitListener = () => {}) {
    super();
    this.#info = info;
    this.#control = control;
    this.#committed = committed;
    control.on("message", (message: StoreMessage) => this.#take(message));
    control.on("close", () => this.#queue.stop(new Error("the host of the store's thread has closed")));
    control.unref();
    // The first port and state have arrived with the link.
    for (let first = receiveMessageOnPort(control); first; first = receiveMessageOnPort(control))
      this.#take(first.message as StoreMessage);
  }

  /** Resolves at once: the host has opened the store. */
  async open(): Promise<StoreInfo> {
    return this.#info;
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    await this.#queue.finish(new Error("the store is closed"));
    this.#control.close();
    this.#port?.close();
  }

  watch(listener: (health: StoreHealth) => void): () => void {
    listener(this.#state.health);
    return this.#listeners.add(listener);
  }

  /** Returns the values of the process, as all its threads do. */
  figures(): StoreFigures {
    return this.#state.figures;
  }

  protected override call(method: string, args: readonly unknown[], read?: string): Promise<unknown> {
    return this.#queue.call(method, args, read);
  }

  protected override get writeRefusal(): string | undefined {
    return this.#state.writeRefusal;
  }

  #take(message: StoreMessage): void {
    if (message.type === "port") this.#connect(message.port);
    else this.#setState(message.state);
  }

  #connect(port: MessagePort): void {
    this.#port = port;
    port.on("message", (message: ThreadMessage) => {
      if (message.type !== "answers") return;
      this.#queue.settle(message.answers);
      this.#report(message.commits);
    });
    // The store's thread died: the calls that it had fail, and the others wait for the next port.
    port.on("close", () => {
      if (this.#port !== port) return;
      this.#port = undefined;
      this.#queue.disconnect(new Error("the thread of the store has ended"));
    });
    this.#keepAlive();
    this.#queue.connect((calls: readonly Call[]) => port.postMessage(calls));
  }

  #setState(state: StoreState): void {
    const { health } = this.#state;
    this.#state = state;
    if (state.health.state === "failed") this.#queue.stop(new Error(state.health.reason));
    if (health.state !== state.health.state || health.reason !== state.health.reason)
      this.#listeners.call(state.health);
  }

  #report(commits: readonly Commit[]): void {
    // The listener is foreign code, whose error in an event of the thread would end the process.
    for (const commit of commits) guard(warn, () => this.#committed(commit));
  }

  /** Keeps the thread alive while calls wait for their answers, as a request in flight does. */
  #keepAlive(): void {
    for (const port of [this.#port, this.#control]) {
      if (this.#queue.isWaiting) port?.ref();
      else port?.unref();
    }
  }
}
