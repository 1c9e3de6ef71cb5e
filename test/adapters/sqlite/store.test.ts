import type { Store } from "../../../src/ports/store.ts";
import { storeContract } from "../../../src/testing/store.ts";
import { openSqlite, openSqliteInMemory } from "../../support/store-sqlite.ts";

storeContract("SqliteStore in a folder", openSqlite);

/** Passes every call on, as a port that counts or logs would: the suite must not depend on the identity of a store. */
function wrap(store: Store): Store {
  const get = (target: Store, name: keyof Store) => {
    const value = target[name];
    return typeof value === "function" ? value.bind(target) : value;
  };
  return new Proxy(store, { get: get as ProxyHandler<Store>["get"] & object });
}

// The suite above runs more scripts on the same code.
storeContract(
  "SqliteStore in memory, behind a wrapper",
  async (keep) => {
    const opened = await openSqliteInMemory(keep);
    return { ...opened, store: wrap(opened.store) };
  },
  { scripts: 2 },
);
