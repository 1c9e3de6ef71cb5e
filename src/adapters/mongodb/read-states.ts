import type { Filter } from "mongodb";
import type { StoredReadState } from "../../ports/store.ts";
import { Batcher } from "../../util/batcher.ts";
import { mapLimited } from "../../util/limit.ts";
import { type Connection, jitter, maxParallel } from "./connection.ts";
import type { Layout } from "./layout.ts";
import type { Locks } from "./locks.ts";

/** Read states of one query. */
const maxTogether = 500;

/** Read state of one user, in `states`. Shard key `{ _id: "hashed" }`. */
interface StateDocument {
  readonly _id: string;
  readonly v: number;
  readonly json: string;
}

/** Users' read states: each is one document that goes from version to version. */
export class MongoReadStates {
  readonly #connection: Connection;
  readonly #layout: Layout;
  readonly #locks: Locks;
  readonly #asked = new Batcher(maxTogether, (ids) => this.#find(ids));

  constructor(connection: Connection, layout: Layout, locks: Locks) {
    this.#connection = connection;
    this.#locks = locks;
    this.#layout = layout;
  }

  /** See InboxIndex. */
  async load(tenant: string, user: string): Promise<StoredReadState> {
    const state = await this.#asked.get(stateName(tenant, user));
    return { version: state?.v ?? 0, json: state?.json ?? "" };
  }

  /** See InboxIndex. Goes on until it knows, or until `expired`: a try without an answer may have saved. */
  async save(tenant: string, user: string, state: StoredReadState, expired: () => boolean): Promise<boolean> {
    if (state.version < 1) return false;
    for (let attempt = 0; ; attempt++) {
      try {
        if (await this.#save(stateName(tenant, user), state)) return true;
        if (attempt === 0) return false;
        const { version, json } = await this.load(tenant, user);
        return version === state.version && json === state.json;
      } catch (error) {
        if (expired()) throw error;
        await jitter(attempt);
      }
    }
  }

  /** One by one where the server would scan for several. */
  async #find(ids: readonly string[]): Promise<ReadonlyMap<string, StateDocument>> {
    const find = (_id: string, filter: Filter<StateDocument>) =>
      this.#connection.find<StateDocument>(this.#layout.states(_id), filter);
    const [first = "", more] = ids;
    const single = more === undefined || this.#layout.scans;
    const found = single
      ? (await mapLimited(maxParallel, ids, (_id) => find(_id, { _id }))).flat()
      : await find(first, { _id: { $in: ids } });
    return new Map(found.map((state) => [state._id, state]));
  }

  async #save(_id: string, { version, json }: StoredReadState): Promise<boolean> {
    const name = this.#layout.states(_id);
    if (version > 1) {
      const states = this.#connection.collection<StateDocument>(name);
      const change = () => states.updateOne({ _id, v: version - 1 }, { $set: { v: version, json } });
      return (await this.#locks.exclusively(_id, change)).modifiedCount === 1;
    }
    const { sure, taken, error } = await this.#connection.insert(name, [{ _id, v: 1, json }], true);
    if (!sure) throw error;
    return taken.length === 0;
  }
}

function stateName(tenant: string, user: string): string {
  return `${tenant.length}.${tenant}.${user}`;
}
