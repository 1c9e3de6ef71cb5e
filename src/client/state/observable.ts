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
  readonly #listeners = new Set<(value: T) => unknown>();
  readonly #threw: (thrown: unknown) => void;

  /** `threw` is called with each error of a listener, and must not throw. */
  constructor(value: T, threw: (thrown: unknown) => void = console.error) {
    this.#value = value;
    this.#threw = threw;
  }

  get value(): T {
    return this.#value;
  }

  /** Sets the value and notifies the listeners, unless it is the same value as before. */
  set(value: T): void {
    if (value === this.#value) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) {
      // A listener set another value, and that call has notified all listeners.
      if (value !== this.#value) return;
      if (this.#listeners.has(listener)) callIsolated(listener, value, this.#threw);
    }
  }

  subscribe(listener: (value: T) => void): () => void {
    const stop = addListener(this.#listeners, listener);
    callIsolated(listener, this.#value, this.#threw);
    return stop;
  }
}

/** Adds a listener until the returned function is called. Throws a TypeError for one that is not a function. */
export function addListener<T>(listeners: Set<(value: T) => unknown>, listener: (value: T) => unknown): () => void {
  check("listener", listener, aFunction);
  // Wrapped, so that a function added twice can be removed once.
  const own = (value: T) => listener(value);
  listeners.add(own);
  return () => void listeners.delete(own);
}

/**
 * Calls a listener of the application. What it throws, or what its promise rejects with, goes to `threw` and affects
 * neither the caller nor other listeners: an uncaught error would end a Node process.
 */
export function callIsolated<T>(listener: (value: T) => unknown, value: T, threw: (thrown: unknown) => void): void {
  try {
    const result = listener(value) as PromiseLike<unknown> | undefined;
    result?.then?.(undefined, threw);
  } catch (thrown) {
    threw(thrown);
  }
}
