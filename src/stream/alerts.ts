import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import type { UserIdentity } from "../auth/identity.ts";
import { SeqSet } from "../inbox/seq-set.ts";
import { tenantKey } from "../util/keys.ts";
import { LruCache } from "../util/lru.ts";
import type { MessageFrame } from "../wire/frame.ts";

/** Users remembered at most; who has no stream open and is forgotten may hear a message once more. */
const maxRemembered = 100_000;
/** Of one feed, runs of seqs that are told apart. */
const maxRuns = 32;

/** Per feed, what one of a user's pages has rung for: pages that filter differently do not take them in order. */
export type Alerted = Map<string, SeqSet>;

/**
 * Which of a user's pages makes itself heard: the first that sends a message takes its alert, and the others of the
 * same user on this node stay quiet.
 */
export class Alerts {
  readonly #maxAgeMs: number;
  readonly #users = new LruCache<string, Alerted>({ entries: maxRemembered });

  /** `maxAgeMs`: an older message comes too late to ring. */
  constructor(maxAgeMs: number) {
    this.#maxAgeMs = maxAgeMs;
  }

  /** What all streams of the user share, for `take`. */
  of({ tenant, subject }: UserIdentity): Alerted {
    // Streams hold on to theirs, so an eviction forgets only users without an open stream.
    return this.#users.getOrCreate(tenantKey(tenant, subject), () => new Map());
  }

  /** What of a feed one of the user's pages has rung for. */
  ofFeed(rung: Alerted, feed: string): SeqSet {
    const known = rung.get(feed) ?? SeqSet.from();
    rung.set(feed, known);
    return known;
  }

  /** Whether this page is to ring for a message that the user has not read; it is the only one then. */
  take(rung: SeqSet, user: UserIdentity, frame: MessageFrame, now: number): boolean {
    if (frame.seq === 0 || now - frame.publishTime > this.#maxAgeMs || !isFor(user, frame)) return false;
    if (!rung.addNew(frame.seq)) return false;
    // Of many runs, the oldest gap closes.
    if (rung.runs > maxRuns) rung.add(1, rung.toJSON()[2]);
    return true;
  }
}

/** Receivers, and not who caused it. */
function isFor({ subject }: UserIdentity, { message }: MessageFrame): boolean {
  const { kind, actor } = message;
  if (kind !== Kind.NOTIFICATION && (kind !== Kind.ACTIVITY || message.receiverId !== subject)) return false;
  return actor?.id !== subject;
}
