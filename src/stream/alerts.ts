import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import type { UserIdentity } from "../auth/identity.ts";
import { SeqSet } from "../inbox/seq-set.ts";
import { tenantKey } from "../util/keys.ts";
import { LruCache } from "../util/lru.ts";
import type { MessageFrame } from "../wire/frame.ts";

/** The most users that are remembered. A user who was forgotten may be alerted to a message once more. */
const maxRemembered = 100_000;
/** The most runs of seqs that are kept per feed. */
const maxRuns = 32;

/**
 * Per feed, the seqs for which one of a user's pages has alerted. A single highest seq would not do, because pages
 * with different filters do not alert in order.
 */
export type Alerted = Map<string, SeqSet>;

/**
 * Decides which page of a user alerts for a message: the first stream that sends it; the user's other streams on this node
 * send it without the alert.
 */
export class Alerts {
  readonly #maxAgeMs: number;
  readonly #users = new LruCache<string, Alerted>({ entries: maxRemembered });

  /** `maxAgeMs`: messages older than this no longer alert, in ms. */
  constructor(maxAgeMs: number) {
    this.#maxAgeMs = maxAgeMs;
  }

  /** What all streams of the user share, for `ofFeed`. */
  of({ tenant, subject }: UserIdentity): Alerted {
    // Each stream holds a reference, so an eviction forgets only users without an open stream.
    return this.#users.getOrCreate(tenantKey(tenant, subject), () => new Map());
  }

  /** The part of one feed, for `take`. */
  ofFeed(alerted: Alerted, feed: string): SeqSet {
    const known = alerted.get(feed) ?? SeqSet.from();
    alerted.set(feed, known);
    return known;
  }

  /** Returns true to the first caller for a message that alerts the user, and false to all others. */
  take(alerted: SeqSet, user: UserIdentity, frame: MessageFrame, now: number): boolean {
    if (frame.seq === 0 || now - frame.summary.publishTime > this.#maxAgeMs || !isFor(user, frame)) return false;
    if (!alerted.addNew(frame.seq)) return false;
    // Close the oldest gap between the runs.
    if (alerted.runs > maxRuns) alerted.add(1, alerted.toJSON()[2]);
    return true;
  }
}

/** Whether the message may alert the user, who must be a receiver and not its actor. Events alert nobody. */
function isFor({ subject }: UserIdentity, { summary }: MessageFrame): boolean {
  const { kind, receiverId, actorId } = summary;
  if (kind !== Kind.NOTIFICATION && (kind !== Kind.ACTIVITY || receiverId !== subject)) return false;
  return actorId !== subject;
}
