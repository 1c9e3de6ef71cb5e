import { feedId } from "../feeds/feed.ts";
import type { Bus, EntryNotice, LiveNotice, Notice, RecallNotice } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import type { Append, AppendResult, FeedKey, MessageLocation, Store } from "../ports/store.ts";
import { noTracer, type Span, type TraceContext, type Tracer } from "../ports/tracer.ts";
import type { StampedMessage } from "./stamp.ts";

/** A published message, with the store's answer. */
export interface Published {
  readonly message: StampedMessage;
  /** Undefined for a live message without a key, which the store never saw. */
  readonly result: AppendResult | undefined;
}

type Traced = { readonly trace?: TraceContext };

/** Announces messages and recalls on the bus: the one place where their notices are built. */
export class Announcer {
  readonly #store: Store;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #tracer: Tracer;

  constructor(store: Store, bus: Bus, clock: Clock, tracer: Tracer = noTracer) {
    this.#store = store;
    this.#bus = bus;
    this.#clock = clock;
    this.#tracer = tracer;
  }

  /** Announces new messages in order, each after the recall of the message that it replaced. `parent` is the call's span. */
  announce(messages: readonly Published[], parent?: Span): void {
    const span = parent && this.#tracer.start({ name: "announce", kind: "producer", parent: parent.context });
    const traced = span ? { trace: span.context } : {};
    const notices: Notice[] = [];
    for (const published of messages) addNotices(notices, published, traced);
    this.#bus.publish(notices);
    span?.end({ "tidings.notices": notices.length });
  }

  /**
   * Announces a stored message once more: the publish that stored it may have died, or missed the store's answer, before
   * it could. Streams that have the message ignore it. Returns where the message lies within the feeds.
   */
  async announceAgain(feeds: readonly FeedKey[], id: string): Promise<readonly MessageLocation[]> {
    const locations = await this.#store.find(feeds, [id]);
    const [first] = locations;
    if (!first) return locations;
    const { entries } = await this.#store.read(first.feed, first.seq - 1, first.seq, 1, this.#clock.now());
    const notices = entries.flatMap(({ body, epoch, expireTime }) =>
      locations.map(({ feed, seq }) => entryNotice(feed, epoch, seq, { id, body, expireTime }, {})),
    );
    this.#bus.publish(notices);
    return locations;
  }

  /** Announces that messages were recalled. */
  announceRecall(locations: readonly Pick<MessageLocation, "id" | "feed">[]): void {
    this.#bus.publish(recallNotices(locations));
  }
}

/** Adds the notices of one message; a duplicate or a conflict has none, as it stored nothing. */
function addNotices(notices: Notice[], { message, result }: Published, traced: Traced): void {
  if (result && result.outcome !== "stored") return;
  const { live, append, audience } = message;
  if (result?.replaced) notices.push(...recallNotices(result.replaced));
  for (const [index, { key }] of audience.feeds.entries()) {
    if (live) notices.push(liveNotice(key, append.body, traced));
    else if (result) notices.push(entryNotice(key, result.epoch, result.seqs[index] as number, append, traced));
  }
}

function entryNotice(
  feed: FeedKey,
  epoch: number,
  seq: number,
  { id, body, expireTime }: Pick<Append, "id" | "body" | "expireTime">,
  traced: Traced,
): EntryNotice {
  return { type: "entry", feed, epoch, seq, id, body, expireTime, ...traced };
}

function liveNotice(feed: FeedKey, body: Uint8Array, traced: Traced): LiveNotice {
  return { type: "live", feed, body, ...traced };
}

/** Builds one notice per feed. */
function recallNotices(locations: readonly Pick<MessageLocation, "id" | "feed">[]): RecallNotice[] {
  const byFeed = Map.groupBy(locations, ({ feed }) => feedId(feed));
  return [...byFeed.values()].map((found) => ({
    type: "recall",
    feed: (found[0] as (typeof found)[number]).feed,
    ids: found.map(({ id }) => id),
  }));
}
