/** A value that is mostly there at once. Awaiting it as a promise always would cost each publish a promise per step. */
export type MaybePromise<T> = T | Promise<T>;

/** Returns the values in order: at once if all of them are there, or else a promise of them. Rejects as Promise.all does. */
export function all<T>(items: readonly MaybePromise<T>[]): MaybePromise<T[]> {
  return items.some((item) => item instanceof Promise) ? Promise.all(items) : (items as T[]);
}
