/** A value that is usually available at once: to await a promise in each step of every publish would be slower. */
export type MaybePromise<T> = T | Promise<T>;

/** Returns the values in order: at once if all of them are available, or else a promise, which rejects as Promise.all does. */
export function all<T>(items: readonly MaybePromise<T>[]): MaybePromise<T[]> {
  return items.some((item) => item instanceof Promise) ? Promise.all(items) : (items as T[]);
}
