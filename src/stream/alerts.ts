import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import type { UserIdentity } from "../auth/identity.ts";
import { SeqSet } from "../inbox/seq-set.ts";
import type { FirstOfThreads } from "../util/first-of-threads.ts";
import { tenantKey } from "../util/keys.ts";
import { LruCache } from "../util/lru.ts";
import type { MessageFrame } from "../wire/frame.ts";

/**
 * The most users without an open stream that are remembered. A user who was forgotten may be alerted once more to a message
 * that a stream sends again.
 */
const maxLeft = 10_000;
/** The most feeds that are remembered per user: a page may enter one room after the other for months. */
const maxFeeds = 512;
/** The most runs of seqs that are kept per feed. */
const maxRuns = 32;

/** What the streams of one user on this node share. */
export interface Alerted {
  /**
   * Per feed, the seqs for which one of the user's pages has alerted. A single highest seq would not do, because pages
   * with different filters do not alert in order.
   */
  readonly feeds: Map<string, SeqSet>;
  /** Open streams of the user. */
  streams: number;
}

/**
 * Decides which page of a user alerts for a message: the first stream that sends it; the user's other streams on this node,
 * in all its threads, send it without the alert.
 */
export class Alerts {
  readonly #maxAgeMs: number;
  readonly #first: Pick<FirstOfThreads, "isFirst"> | undefined;
  /** Users with open streams, who must not be forgotten: a further page would alert for the same messages. */
  readonly #open = new Map<string, Alerted>();
  /** Users whose last stream has closed; it may be back soon. */
  readonly #left = new LruCache<string, Alerted>({ entries: maxLeft });

  /**
   * `maxAgeMs`: messages older than this no longer alert, in ms. `first` chooses the thread of the process that alerts a user
   * for a message; undefined if there is one thread.
   */
  constructor(maxAgeMs: number, first?: Pick<FirstOfThreads, "isFirst">) {
    this.#maxAgeMs = maxAgeMs;
    this.#first = first;
  }

  /** The number of users with open streams. */
  get open(): number {
    return this.#open.size;
  }

  /** The number of users without one that are remembered. */
  get left(): number {
    return this.#left.size;
  }

  /** What all streams of the user share, for `ofFeed`. A stream of the user was opened; call `leave` when it closes. */
  enter({ tenant, subject }: UserIdentity): Alerted {
    const key = tenantKey(tenant, subject);
    const alerted = this.#open.get(key) ?? this.#left.peek(key) ?? { feeds: new Map(), streams: 0 };
    this.#left.delete(key);
    this.#open.set(key, alerted);
    alerted.streams++;
    return alerted;
  }

  /** A stream of the user has closed. */
  leave({ tenant, subject }: UserIdentity): void {
    const key = tenantKey(tenant, subject);
    const alerted = this.#open.get(key);
    if (!alerted || --alerted.streams > 0) return;
    this.#open.delete(key);
    if (alerted.feeds.size > 0) this.#left.set(key, alerted);
  }

  /** The part of one feed, for `take`. */
  ofFeed({ feeds }: Alerted, feed: string): SeqSet {
    const known = feeds.get(feed);
    if (known) return known;
    const [oldest] = feeds.keys();
    if (feeds.size >= maxFeeds && oldest !== undefined) feeds.delete(oldest);
    const added = SeqSet.from();
    feeds.set(feed, added);
    return added;
  }

  /** Returns true to the first caller for a message that alerts the user, and false to all others. */
  take(alerted: SeqSet, user: UserIdentity, frame: MessageFrame, now: number): boolean {
    if (frame.seq === 0 || now - frame.summary.publishTime > this.#maxAgeMs || !isFor(user, frame)) return false;
    if (!alerted.addNew(frame.seq)) return false;
    // Close the oldest gap between the runs.
    if (alerted.runs > maxRuns) alerted.add(1, alerted.toJSON()[2]);
    return this.#first?.isFirst(tenantKey(user.tenant, user.subject), frame.id) ?? true;
  }
}

/** Whether the message may alert the user, who must be a receiver and not its actor. Events alert nobody. */
function isFor({ subject }: UserIdentity, { summary }: MessageFrame): boolean {
  const { kind, receiverId, actorId } = summary;
  if (kind !== Kind.NOTIFICATION && (kind !== Kind.ACTIVITY || receiverId !== subject)) return false;
  return actorId !== subject;
}
