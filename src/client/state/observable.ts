/** A value that notifies its listeners when it changes, as a badge, a status light or a framework's store needs. */

import { aFunction, check } from "../check.ts";

/** A value that can be read and watched. */
export interface Observable<T> {
  /** The current value. */
  readonly value: T;
  /**
   * Calls the listener at once with the value and again on each change, until the returned function is called. Throws a
   * TypeError for a listener that is not a function.
   */
  subscribe(listener: (value: T) => void): () => void;
}

/** An Observable that can be set. */
export class Variable<T> implements Observable<T> {
  #value: T;
  readonly #listeners = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  /** Sets the value and notifies the listeners, unless it is the same value as before. */
  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) {
      // A listener set another value, and that call has notified all listeners.
      if (!Object.is(value, this.#value)) return;
      if (this.#listeners.has(listener)) callIsolated(listener, value);
    }
  }

  subscribe(listener: (value: T) => void): () => void {
    check("listener", listener, aFunction);
    // Wrapped, so that a function subscribed twice can be removed once.
    const own = (value: T) => listener(value);
    this.#listeners.add(own);
    callIsolated(own, this.#value);
    return () => void this.#listeners.delete(own);
  }
}

/** Calls a listener. Its exception is reported as uncaught, and affects neither the caller nor other listeners. */
export function callIsolated<T>(listener: (value: T) => void, value: T): void {
  try {
    listener(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
