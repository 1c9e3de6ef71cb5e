/** The listeners of on(), by the name of their event. */
import { check, oneOf } from "../check.ts";
import type { TidingsEvent, TidingsListeners } from "../events.ts";
import { failure, type TidingsError } from "../tidings-error.ts";
import { addListener, callIsolated } from "./observable.ts";

const eventName = oneOf("hello", "message", "readState", "online", "caughtUp", "gap", "reset", "room", "error");

/** The listeners of one client. */
export class Listeners<M> {
  /** The listeners under a name take the payload that `emit` and `fail` pass under that name. */
  readonly #all = new Map<string, Set<(payload: never) => unknown>>();

  /**
   * Calls the listener on each event of this name, until the returned function is called. Throws a TypeError for a name
   * that no event has, and for a listener that is not a function.
   */
  add<K extends keyof TidingsListeners<M>>(type: K, listener: (event: TidingsListeners<M>[K]) => void): () => void {
    check("type", type, eventName);
    const listeners = this.#all.get(type) ?? new Set();
    this.#all.set(type, listeners);
    return addListener(listeners, listener);
  }

  /** Calls the listeners of an event. */
  emit(event: TidingsEvent<M>): void {
    this.#call(event.type, event.type === "message" ? event.message : event);
  }

  /** Calls the listeners of `error`. */
  fail(error: TidingsError): void {
    this.#call("error", error);
  }

  /**
   * Reports the error of a listener: as an `error` event, or on the console where nothing listens for errors or where
   * it is such a listener that threw.
   */
  readonly threw = (thrown: unknown): void => {
    if (!this.#all.get("error")?.size) console.error(thrown);
    else this.fail(failure("unknown", "listener", thrown));
  };

  #call(type: string, payload: unknown): void {
    const threw = type === "error" ? console.error : this.threw;
    for (const listener of [...(this.#all.get(type) ?? [])]) {
      callIsolated(listener as (payload: unknown) => unknown, payload, threw);
    }
  }
}
