import { fail } from "../../src/errors.ts";
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
} from "../../src/ports/store.ts";
import type { Dice } from "./dice.ts";
import { type Documents, feedId, feedKey } from "./documents.ts";
import { FeedAppender, type ReplicaFeed } from "./feed-appender.ts";
import type { Host } from "./host.ts";
import type { Network } from "./network.ts";
import * as questions from "./questions.ts";
import type { ReplicaSet } from "./replica-set.ts";
import type { Wiring } from "./wiring.ts";

/** An attempt at the replica set. */
const attemptMs = 1_000;
/** A call of the port. */
const callMs = 2_500;
/** The seconds of a simulation stand for hours: what is younger stays on the disk, trimmed or not. */
export const trimAgeMs = 8_000;
/** Well below, so that what a stale head overwrites is noticed. */
const maxHeadAgeMs = 3_000;

/** What a simulated store is made of. */
export interface SimStoreParts {
  readonly replica: ReplicaSet;
  readonly network: Network;
  readonly host: Host;
  readonly dice: Dice;
  readonly wiring: Wiring;
  /** Messages kept per feed. */
  readonly keep: number;
}

/** Port Store of one node on a simulated replica set. */
export class SimStore implements Store {
  readonly #parts: SimStoreParts;
  readonly #appender: FeedAppender;
  #stamp = 0;

  constructor(parts: SimStoreParts) {
    this.#parts = parts;
    const { flight, taken, stale, cursor } = parts.wiring;
    const next = (head: number) => (cursor === "seq" ? head + 1 : this.#timeId());
    this.#appender = new FeedAppender(this.#feed(), { flight, taken, stale, next, maxHeadAge: maxHeadAgeMs });
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
    return this.#read((documents) => feeds.map((feed) => questions.headOf(documents, feed, this.#parts.keep)));
  }

  read(feed: FeedKey, after: number, upTo: number, limit: number, now: number) {
    const { keep } = this.#parts;
    return this.#read((documents) => questions.read(documents, { feed, after, upTo, limit, now, keep }));
  }

  select(selection: Selection) {
    return this.#read((documents) => questions.select(documents, selection, this.#parts.keep));
  }

  countNotifications(feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[], now: number) {
    return this.#read((documents) => questions.tally(documents, feeds, now, this.#parts.keep));
  }

  find(feeds: readonly FeedKey[], ids: readonly string[]) {
    return this.#read((documents) => questions.find(documents, feeds, ids, this.#parts.keep));
  }

  readState(tenant: string, user: string): Promise<StoredReadState> {
    return this.#read((documents) => documents.states.get(`${tenant}\n${user}`) ?? { version: 0, json: "" });
  }

  saveReadState(tenant: string, user: string, state: StoredReadState): Promise<boolean> {
    const { replica, host } = this.#parts;
    return this.#write(() => replica.replaceState(`${tenant}\n${user}`, state, host));
  }

  /** Answers places that were erased before, too: who repeats it was not answered. */
  async recall(tenant: string, ids: readonly string[]): Promise<readonly Recalled[]> {
    const { replica, host } = this.#parts;
    const places = await this.#read((documents) => placesOf(documents, tenant, ids));
    await this.#write(() =>
      replica.write(
        places.map(({ feed, seq }) => ({ do: "erase", feed: feedId(feed), seq })),
        host,
      ),
    );
    return places;
  }

  async batch(): Promise<BatchPage> {
    return { entries: [], next: "" };
  }

  /** Raises tails, and then removes what is below them and old enough; the last message of a feed stays. */
  async trim(before: number): Promise<number> {
    const { replica, wiring, keep, host } = this.#parts;
    const feeds = await this.#read((documents) =>
      [...documents.feeds].map(([feed, docs]) => {
        const all = docs.docs();
        const old = all.findLast(({ append }) => append.publishTime < before)?.seq ?? 0;
        const tail = Math.max(questions.tailOf(docs, keep), old + 1);
        const last = wiring.trim === "anchor" ? docs.last - 1 : docs.last;
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

  /** Milliseconds, and a few digits that tell nodes apart: ascending, and known before the write. */
  #timeId(): number {
    this.#stamp = Math.max(
      this.#stamp + 1,
      Math.floor(this.#parts.host.clock.now() * 1000 + this.#parts.dice.integer(0, 999)),
    );
    return this.#stamp;
  }

  #feed(): ReplicaFeed {
    const { replica, wiring, dice, host, keep } = this.#parts;
    const ask = <T>(server: () => T | Promise<T>) => this.#ask(server);
    return {
      insertOrdered: (feed, docs) => ask(() => replica.insertOrdered(feed, docs, host)),
      head: (feed) => ask(() => ({ seq: replica.read(wiring.head, host).feed(feed).last, time: replica.now })),
      holder: (feed, key) =>
        ask(() => {
          const docs = replica.read("majority", host).feed(feed);
          return docs.bySeq.get(docs.byKey.get(key) ?? 0);
        }),
      strays: (feed, seqs) => ask(() => questions.strays(replica.read("majority", host).feed(feed), seqs, keep)),
      free: (feed, seq) => ask(() => replica.write([{ do: "free", feed, seq }], host)),
      withdraw: (feed, seqs) => ask(() => replica.write([{ do: "withdraw", feed, seqs }], host)),
      pause: () => new Promise((resolve) => host.clock.after(dice.between(5, 40), resolve)),
    };
  }

  #read<T>(question: (documents: Documents) => T): Promise<T> {
    const { replica, wiring, host } = this.#parts;
    return this.#ask(() => question(replica.read(wiring.reads, host))).catch(() => {
      throw unavailable();
    });
  }

  #write<T>(server: () => Promise<T>): Promise<T> {
    return this.#ask(server).catch(() => {
      throw unavailable();
    });
  }

  #ask<T>(server: () => T | Promise<T>): Promise<T> {
    const { network, host } = this.#parts;
    return network.ask(host, server, attemptMs);
  }
}

function unavailable(): Error {
  return fail("STORE_UNAVAILABLE", "the store does not answer; repeat the request", { retryAfterMs: 200 });
}

function placesOf(documents: Documents, tenant: string, ids: readonly string[]): Recalled[] {
  return [...documents.feeds].flatMap(([id, docs]) => {
    const feed = feedKey(id);
    if (feed.tenant !== tenant) return [];
    return docs
      .docs()
      .filter(({ append }) => ids.includes(append.id))
      .map(({ append: { id }, seq, erased }) => ({ id, feed, seq, again: erased }));
  });
}
