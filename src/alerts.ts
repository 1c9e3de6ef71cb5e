import { Kind } from "../gen/tidings/v1/message_pb.ts";
import type { MessageFrame } from "./frame.ts";
import type { UserIdentity } from "./identity.ts";
import { SeqSet } from "./seq-set.ts";

/** Places remembered at most; a forgotten one may ring once more. */
const maxRemembered = 200_000;
/** Of one feed, runs of seqs that are told apart. */
const maxRuns = 32;

/**
 * Which of a user's pages makes itself heard: the first that sends a message takes its alert, and the others of the
 * same user on this node stay quiet.
 */
export class Alerts {
  readonly #maxAgeMs: number;
  /** Per user and feed, what an alert was given for: pages that filter differently do not take them in order. */
  readonly #given = new Map<string, SeqSet>();

  /** `maxAgeMs`: an older message comes too late to ring. */
  constructor(maxAgeMs: number) {
    this.#maxAgeMs = maxAgeMs;
  }

  /** Whether this page is to ring for a message that the user has not read; it is the only one then. */
  take(user: UserIdentity, feed: string, frame: MessageFrame, now: number): boolean {
    if (frame.seq === 0 || now - frame.publishTime > this.#maxAgeMs || !isFor(user, frame)) return false;
    const key = `${user.tenant}\n${user.subject}\n${feed}`;
    const given = this.#given.get(key) ?? SeqSet.from();
    if (given.has(frame.seq)) return false;
    given.add(frame.seq);
    // Of many runs, the oldest gap closes.
    if (given.toJSON().length > 2 * maxRuns) given.add(1, given.toJSON()[2]);
    if (this.#given.size >= maxRemembered) this.#given.clear();
    this.#given.set(key, given);
    return true;
  }
}

/** Receivers, and not who caused it. */
function isFor({ subject }: UserIdentity, { message }: MessageFrame): boolean {
  if (message.actor?.id === subject) return false;
  return message.kind === Kind.NOTIFICATION || (message.kind === Kind.ACTIVITY && message.receiverId === subject);
}
