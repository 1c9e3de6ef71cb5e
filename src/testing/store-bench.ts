/** The stores that the tests of port Store use. */
import type { Store, StoreInfo } from "../ports/store.ts";

/** An open store. */
export interface OpenedStore {
  /** The store. */
  readonly store: Store;
  /** The result of its open(). */
  readonly info: StoreInfo;
  /** Closes the store and opens it again on the same data. Left out where the data are gone with the store. */
  reopen?(): Promise<OpenedStore>;
  /** Closes the store, if it is open, and removes its data. */
  close(): Promise<void>;
}

/** Opens an empty store that keeps a number of messages per feed. */
export type MakeStore = (keep: number) => Promise<OpenedStore>;

/** What the tests of one law share. */
export interface StoreBench {
  /** The number of random scripts of a test. */
  readonly scripts: number;
  /** The shared store. */
  readonly store: Store;
  /** Returns a tenant that no other test uses. */
  tenant(): string;
  /** Runs a test with a store of its own, which keeps `keep` messages per feed. */
  alone(keep: number, use: (opened: OpenedStore) => Promise<void>): Promise<void>;
}
