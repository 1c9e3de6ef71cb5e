import type { Store } from "../../src/ports/store.ts";

/** A method of Store that a running node calls. */
export type StoreMethod = Exclude<keyof Store, "open" | "close" | "watch" | "figures" | "now">;

/** Wraps each call of a store; it may count, delay or reject the call. */
export type Around = <T>(method: StoreMethod, call: () => Promise<T>) => Promise<T>;

/** Returns a store whose calls go through `around`. */
export function tapStore(store: Store, around: Around): Store {
  return {
    ...(store.usage
      ? { usage: (tenant: string) => around("usage", () => (store as Required<Pick<Store, "usage">>).usage(tenant)) }
      : {}),
    open: () => store.open(),
    close: () => store.close(),
    ...(store.now ? { now: store.now } : {}),
    append: (...args) => around("append", () => store.append(...args)),
    bounds: (...args) => around("bounds", () => store.bounds(...args)),
    read: (...args) => around("read", () => store.read(...args)),
    recall: (...args) => around("recall", () => store.recall(...args)),
    trim: (...args) => around("trim", () => store.trim(...args)),
    select: (...args) => around("select", () => store.select(...args)),
    countNotifications: (...args) => around("countNotifications", () => store.countNotifications(...args)),
    batch: (...args) => around("batch", () => store.batch(...args)),
    find: (...args) => around("find", () => store.find(...args)),
    readState: (...args) => around("readState", () => store.readState(...args)),
    saveReadState: (...args) => around("saveReadState", () => store.saveReadState(...args)),
  };
}
