import type { StoredReadState } from "../../ports/store.ts";
import { Batcher } from "../../util/batcher.ts";
import type { Database } from "./database.ts";
import { pauseBeforeRetry } from "./retry.ts";

/** The most read states of one query. */
const maxTogether = 500;

/** In `states`: the read state of one user. Shard key `{ _id: "hashed" }`. */
interface StateDocument {
  /** See stateName. */
  readonly _id: string;
  /** Version. */
  readonly v: number;
  readonly json: string;
}

/** Read states: each user has one document, and each save compares its version. */
export class MongoReadStates {
  readonly #database: Database;
  readonly #states = new Batcher(maxTogether, (ids) => this.#find(ids));

  constructor(database: Database) {
    this.#database = database;
  }

  /** See InboxIndex. */
  async load(tenant: string, user: string): Promise<StoredReadState> {
    const state = await this.#states.get(stateName(tenant, user));
    return { version: state?.v ?? 0, json: state?.json ?? "" };
  }

  /** See InboxIndex. Retries until the outcome is known, or until `expired`; an unanswered attempt may have saved. */
  async save(tenant: string, user: string, state: StoredReadState, expired: () => boolean): Promise<boolean> {
    if (state.version < 1) return false;
    for (let attempt = 0; ; attempt++) {
      try {
        if (await this.#compareAndSet(stateName(tenant, user), state)) return true;
        if (attempt === 0) return false;
        const { version, json } = await this.load(tenant, user);
        return version === state.version && json === state.json;
      } catch (error) {
        if (expired()) throw error;
        await pauseBeforeRetry(attempt);
      }
    }
  }

  async #find(ids: readonly string[]): Promise<ReadonlyMap<string, StateDocument>> {
    const found = await this.#database.find<StateDocument>("states", { _id: { $in: ids } });
    return new Map(found.map((state) => [state._id, state]));
  }

  async #compareAndSet(_id: string, { version, json }: StoredReadState): Promise<boolean> {
    if (version > 1) {
      const change = { $set: { v: version, json } };
      return (await this.#database.updateOne<StateDocument>("states", { _id, v: version - 1 }, change)) === 1;
    }
    const { confirmed, duplicates, error } = await this.#database.insert("states", [{ _id, v: 1, json }], true);
    if (!confirmed) throw error;
    return duplicates.length === 0;
  }
}

/** The length marks the end of the tenant, so that no two users share a name. */
function stateName(tenant: string, user: string): string {
  return `${tenant.length}.${tenant}.${user}`;
}
