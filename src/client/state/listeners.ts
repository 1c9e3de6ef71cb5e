/** The listeners of on(), by the name of their event. */
import { aFunction, check, oneOf } from "../check.ts";
import type { TidingsEvent, TidingsListeners } from "../events.ts";
import type { TidingsError } from "../tidings-error.ts";
import { callIsolated } from "./observable.ts";

const eventName = oneOf("hello", "message", "readState", "online", "caughtUp", "gap", "reset", "room", "error");

/** The listeners of one client. */
export class Listeners<M> {
  /** The listeners under a name take the payload that `emit` and `fail` pass under that name. */
  readonly #all = new Map<string, Set<(payload: never) => void>>();

  /**
   * Calls the listener on each event of this name, until the returned function is called. Throws a TypeError for a name
   * that no event has, and for a listener that is not a function.
   */
  add<K extends keyof TidingsListeners<M>>(type: K, listener: (event: TidingsListeners<M>[K]) => void): () => void {
    check("type", type, eventName);
    check("listener", listener, aFunction);
    // Wrapped, so that a function added twice can be removed once.
    const own = (event: TidingsListeners<M>[K]) => listener(event);
    const listeners = this.#all.get(type) ?? new Set();
    this.#all.set(type, listeners.add(own));
    return () => void listeners.delete(own);
  }

  /** Calls the listeners of an event. */
  emit(event: TidingsEvent<M>): void {
    this.#call(event.type, event.type === "message" ? event.message : event);
  }

  /** Calls the listeners of `error`. */
  fail(error: TidingsError): void {
    this.#call("error", error);
  }

  #call(type: string, payload: unknown): void {
    for (const listener of [...(this.#all.get(type) ?? [])]) {
      callIsolated(listener as (payload: unknown) => void, payload);
    }
  }
}
