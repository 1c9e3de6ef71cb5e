import type { MessagePort } from "node:worker_threads";
import type { SqliteStore } from "../sqlite/store.ts";
import type { StoreMessage, StoreState } from "./link.ts";

/** Time between two checks of the figures of the store, in ms. */
const intervalMs = 1000;

/**
 * Connects event-loop threads to the thread of the embedded store. Calls and answers pass between the two directly. The host
 * sends each thread a port to the store's thread, another one after each restart of that, and the state of the store.
 */
export class StoreHost {
  readonly #store: SqliteStore;
  /** By thread, its port and the function that stops connecting it. */
  readonly #threads = new Map<number, { readonly control: MessagePort; readonly disconnect: () => void }>();
  readonly #unwatch: () => void;
  readonly #timer: NodeJS.Timeout;
  /** The last state that the threads got, as JSON. */
  #posted = "";

  /** The store has been opened, and is closed by the caller. */
  constructor(store: SqliteStore) {
    this.#store = store;
    this.#unwatch = store.watch(() => this.#postState());
    this.#timer = setInterval(() => this.#postState(), intervalMs).unref();
  }

  /** Connects a thread, which gets its messages on the other end of `control`. */
  connect(id: number, control: MessagePort): void {
    const post = (message: StoreMessage, transfer: MessagePort[] = []) => control.postMessage(message, transfer);
    post({ type: "state", state: this.#state });
    const disconnect = this.#store.connect((port) => post({ type: "port", port }, [port]));
    this.#threads.set(id, { control, disconnect });
  }

  /** Forgets a thread. Answers to its calls in flight are dropped. */
  disconnect(id: number): void {
    const thread = this.#threads.get(id);
    this.#threads.delete(id);
    thread?.disconnect();
    thread?.control.close();
  }

  close(): void {
    this.#unwatch();
    clearInterval(this.#timer);
    for (const id of this.#threads.keys()) this.disconnect(id);
  }

  get #state(): StoreState {
    const { health, writeRefusal } = this.#store;
    return { health, writeRefusal, figures: this.#store.figures() };
  }

  #postState(): void {
    const state = this.#state;
    const json = JSON.stringify(state);
    if (json === this.#posted) return;
    this.#posted = json;
    for (const { control } of this.#threads.values())
      control.postMessage({ type: "state", state } satisfies StoreMessage);
  }
}
