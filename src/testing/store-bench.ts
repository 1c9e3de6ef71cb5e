/** What the tests of the laws of port Store are given. */
import type { Store, StoreInfo } from "../ports/store.ts";

/** A store that is open. */
export interface OpenedStore {
  readonly store: Store;
  readonly info: StoreInfo;
  /** Closes it and opens it again on the same data; absent where nothing outlives the store. */
  reopen?(): Promise<OpenedStore>;
  /** Closes it, if it is open, and removes its data. */
  close(): Promise<void>;
}

/** Opens an empty store that keeps so many messages per feed. */
export type MakeStore = (keep: number) => Promise<OpenedStore>;

/** What the tests of a suite share. */
export interface StoreBench {
  /** Random scripts of a test. */
  readonly scripts: number;
  /** The shared store. */
  readonly store: Store;
  /** A tenant that no other test uses. */
  tenant(): string;
  /** Runs with a store of its own. */
  alone(keep: number, use: (opened: OpenedStore) => Promise<void>): Promise<void>;
}
