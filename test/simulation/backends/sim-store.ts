import { fail } from "../../../src/errors.ts";
import type {
  Append,
  AppendResult,
  BatchPage,
  FeedBounds,
  FeedKey,
  Recalled,
  Selection,
  SeqRanges,
  Store,
  StoredReadState,
  StoreInfo,
} from "../../../src/ports/store.ts";
import { epoch, type Host } from "../runtime/host.ts";
import type { Network } from "../runtime/network.ts";
import type { SeededRandom } from "../runtime/seeded-random.ts";
import type { Variant } from "../variant.ts";
import { type Documents, feedId, feedKey } from "./documents.ts";
import { FeedAppender, type ReplicaFeed } from "./feed-appender.ts";
import type { ReplicaSet } from "./replica-set.ts";
import * as queries from "./store-queries.ts";

/** Time limit of one attempt at the replica set. */
const attemptMs = 1_000;
/** Time limit of a call of the port. */
const callMs = 2_500;
/** Trimmed documents are removed when they are older than this: seconds stand for the hours of a real store. */
export const trimAgeMs = 8_000;
/** Well below `trimAgeMs`, so that an insert by a stale end of the feed is found while its successors still exist. */
const maxEndAgeMs = 3_000;

/** The parts of a simulated store. */
export interface SimStoreParts {
  readonly replica: ReplicaSet;
  readonly network: Network;
  readonly host: Host;
  readonly random: SeededRandom;
  readonly variant: Variant;
  /** Messages kept per feed. */
  readonly keep: number;
}

/** The port Store of one node, on a simulated replica set. */
export class SimStore implements Store {
  readonly #parts: SimStoreParts;
  readonly #appender: FeedAppender;
  /** The clock of the servers, which is right; undefined where each node goes by its own. */
  readonly now?: () => Promise<number>;
  #stamp = 0;

  constructor(parts: SimStoreParts) {
    this.#parts = parts;
    const readClock = () => this.#call(() => epoch + parts.replica.now);
    if (parts.variant.time === "store") {
      this.now = () =>
        readClock().catch(() => {
          throw unavailable();
        });
    }
    const { inFlight, takenSeq, staleEnd, cursor } = parts.variant;
    const next = (seq: number) => (cursor === "seq" ? seq + 1 : this.#timestampId());
    this.#appender = new FeedAppender(this.#replicaFeed(), { inFlight, takenSeq, staleEnd, next, maxEndAgeMs });
  }

  async open(): Promise<StoreInfo> {
    return { secret: new Uint8Array(32) };
  }

  async close(): Promise<void> {}

  async append(messages: readonly Append[]): Promise<readonly AppendResult[]> {
    const end = new AbortController();
    const timer = this.#parts.host.clock.after(callMs, () => end.abort(unavailable()));
    try {
      return await Promise.all(messages.map((message) => this.#appendOne(message, end.signal)));
    } finally {
      timer.cancel();
    }
  }

  bounds(feeds: readonly FeedKey[]): Promise<readonly FeedBounds[]> {
    return this.#read((documents) => feeds.map((feed) => queries.bounds(documents, feed, this.#parts.keep)));
  }

  read(feed: FeedKey, after: number, upTo: number, limit: number, now: number) {
    const { keep } = this.#parts;
    return this.#read((documents) => queries.read(documents, { feed, after, upTo, limit, now, keep }));
  }

  select(selection: Selection) {
    return this.#read((documents) => queries.select(documents, selection, this.#parts.keep));
  }

  countNotifications(feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[], now: number) {
    return this.#read((documents) => queries.countNotifications(documents, feeds, now, this.#parts.keep));
  }

  find(feeds: readonly FeedKey[], ids: readonly string[]) {
    return this.#read((documents) => queries.find(documents, feeds, ids, this.#parts.keep));
  }

  readState(tenant: string, user: string): Promise<StoredReadState> {
    return this.#read((documents) => documents.states.get(`${tenant}\n${user}`) ?? { version: 0, json: "" });
  }

  saveReadState(tenant: string, user: string, state: StoredReadState): Promise<boolean> {
    const { replica, host } = this.#parts;
    return this.#write(() => replica.replaceState(`${tenant}\n${user}`, state, host));
  }

  /** Also returns messages that were erased before, for a caller that repeats a recall whose response was lost. */
  async recall(tenant: string, ids: readonly string[]): Promise<readonly Recalled[]> {
    const { replica, host } = this.#parts;
    const recalled = await this.#read((documents) => recalledOf(documents, tenant, ids));
    await this.#write(() =>
      replica.write(
        recalled.map(({ feed, seq }) => ({ do: "erase", feed: feedId(feed), seq })),
        host,
      ),
    );
    return recalled;
  }

  async batch(): Promise<BatchPage> {
    return { entries: [], next: "" };
  }

  /** Raises tails, then removes old documents below them. The last document of a feed stays, because it has the end. */
  async trim(before: number): Promise<number> {
    const { replica, variant, keep, host } = this.#parts;
    const feeds = await this.#read((documents) =>
      [...documents.feeds].map(([feed, docs]) => {
        const all = docs.docs();
        const old = all.findLast(({ append }) => append.publishTime < before)?.seq ?? 0;
        const tail = Math.max(queries.tailOf(docs, keep), old + 1);
        const last = variant.trim === "keep last" ? docs.last - 1 : docs.last;
        const seqs = all.filter(({ seq, time }) => seq < tail && seq <= last && time < replica.now - trimAgeMs);
        return { feed, tail, seqs: seqs.map(({ seq }) => seq), raised: tail > docs.tail };
      }),
    );
    const raised = feeds.filter(({ raised }) => raised);
    await this.#write(() =>
      replica.write(
        raised.map(({ feed, tail }) => ({ do: "tail", feed, tail })),
        host,
      ),
    );
    const full = feeds.filter(({ seqs }) => seqs.length > 0);
    await this.#write(() =>
      replica.write(
        full.map(({ feed, seqs }) => ({ do: "remove", feed, seqs })),
        host,
      ),
    );
    return full.length;
  }

  async #appendOne(message: Append, signal: AbortSignal): Promise<AppendResult> {
    const [name, another] = message.feeds;
    if (name === undefined || another !== undefined || message.replace) throw new Error("not simulated");
    return this.#appender.append(feedId({ tenant: message.tenant, name }), message, signal);
  }

  /** A mistake on purpose: milliseconds with random digits that differ between nodes; ascending, and known before the write. */
  #timestampId(): number {
    this.#stamp = Math.max(
      this.#stamp + 1,
      Math.floor(this.#parts.host.clock.now() * 1000 + this.#parts.random.integer(0, 999)),
    );
    return this.#stamp;
  }

  #replicaFeed(): ReplicaFeed {
    const { replica, variant, random, host, keep } = this.#parts;
    const call = <T>(server: () => T | Promise<T>) => this.#call(server);
    return {
      insertOrdered: (feed, docs) => call(() => replica.insertOrdered(feed, docs, host)),
      end: (feed) => call(() => ({ seq: replica.read(variant.feedEnd, host).feed(feed).last, time: replica.now })),
      holder: (feed, key) =>
        call(() => {
          const docs = replica.read("majority", host).feed(feed);
          return docs.bySeq.get(docs.byKey.get(key) ?? 0);
        }),
      orphans: (feed, seqs) => call(() => queries.orphans(replica.read("majority", host).feed(feed), seqs, keep)),
      release: (feed, seq) => call(() => replica.write([{ do: "release", feed, seq }], host)),
      withdraw: (feed, seqs) => call(() => replica.write([{ do: "withdraw", feed, seqs }], host)),
      pause: () => new Promise((resolve) => host.clock.after(random.between(5, 40), resolve)),
    };
  }

  #read<T>(query: (documents: Documents) => T): Promise<T> {
    const { replica, variant, host } = this.#parts;
    return this.#call(() => query(replica.read(variant.reads, host))).catch(() => {
      throw unavailable();
    });
  }

  #write<T>(server: () => Promise<T>): Promise<T> {
    return this.#call(server).catch(() => {
      throw unavailable();
    });
  }

  #call<T>(server: () => T | Promise<T>): Promise<T> {
    const { network, host } = this.#parts;
    return network.call(host, server, attemptMs);
  }
}

function unavailable(): Error {
  return fail("STORE_UNAVAILABLE", "the store does not respond; retry the request", { retryAfterMs: 200 });
}

function recalledOf(documents: Documents, tenant: string, ids: readonly string[]): Recalled[] {
  return [...documents.feeds].flatMap(([id, docs]) => {
    const feed = feedKey(id);
    if (feed.tenant !== tenant) return [];
    return docs
      .docs()
      .filter(({ append }) => ids.includes(append.id))
      .map(({ append: { id }, seq, erased }) => ({ id, feed, seq, again: erased }));
  });
}
