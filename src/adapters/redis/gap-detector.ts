/**
 * Gap detection. Redis Pub/Sub may lose messages, and neither the publisher nor the subscriber notices. So each node
 * numbers its messages per shard, 1, 2, 3 and so on, before it sends them, and repeats the last number of every shard
 * in a heartbeat once a second. A receiver then knows which numbers are due, whether they were lost between two others,
 * before a silence, or before they were sent at all.
 *
 * A number that is due may still be on its way. It counts as lost once it has been due for a whole interval between two
 * checks, half a second. Example: 5 and 7 have arrived, and the heartbeat says 8. The next check notes 8 as due; 6
 * arrives late; the check after that reports a gap, for 8, and goes on from 8.
 *
 * A node whose heartbeat stays away is silent. It may be dead, or cut off from Redis and still storing messages that it
 * cannot announce, so its silence is reported until it is heard again or, after five minutes, given up.
 */
import type { Heartbeat } from "./codec.ts";

/** A node without a heartbeat for this long is silent. */
const silentMs = 3_000;
/** A node that is silent for this long is given up as dead. */
const deadMs = 300_000;
/** The most numbers that a track remembers beyond the first one missing. */
const maxAhead = 1000;
/** Heartbeats come every second: a node that ran before this one started is heard within this time. */
const newcomerMs = 2_500;

/** What this node has not received, as found by one check. */
export interface Gaps {
  /** Shards on which messages were lost. */
  readonly missing: ReadonlySet<number>;
  /** Shards on which others sent messages before this node was connected: it may have missed some of them. */
  readonly uncertain: ReadonlySet<number>;
  /** The number of silent nodes. */
  readonly silent: number;
  /** Whether a silent node was given up. What it sent last remains unknown. */
  readonly gaveUp: boolean;
}

/** The messages of one publisher on one shard. */
class Track {
  /** Every number up to this one was received or has been reported as lost. */
  #through: number;
  /** Numbers received beyond it. */
  readonly #ahead = new Set<number>();
  /** The last number known to be sent. */
  #due: number;
  /** The value of `#due` at the check before: these numbers have had the time to arrive. */
  #overdue: number;

  constructor(through: number) {
    this.#through = this.#due = this.#overdue = through;
  }

  received(n: number): void {
    this.sent(n);
    if (n > this.#through && this.#ahead.size < maxAhead) this.#ahead.add(n);
    this.#advance();
  }

  sent(n: number): void {
    this.#due = Math.max(this.#due, n);
  }

  /** Returns whether an overdue number is missing, and goes on after the overdue ones. */
  check(): boolean {
    const lost = this.#through < this.#overdue;
    if (lost) {
      this.#through = this.#overdue;
      for (const n of this.#ahead) if (n <= this.#through) this.#ahead.delete(n);
      this.#advance();
    }
    this.#overdue = this.#due;
    return lost;
  }

  #advance(): void {
    while (this.#ahead.delete(this.#through + 1)) this.#through++;
  }
}

/** Another node. */
interface Publisher {
  /** By shard. */
  readonly tracks: Map<number, Track>;
  heardAt: number;
  isSilent: boolean;
}

/** Finds the gaps in what the other nodes send. Times are in ms, by a clock that is never set back. */
export class GapDetector {
  readonly #publishers = new Map<string, Publisher>();
  readonly #missing = new Set<number>();
  readonly #uncertain = new Set<number>();
  #connectedAt = Number.POSITIVE_INFINITY;
  readonly #onChange: (node: string, change: "silent" | "back") => void;

  /** `onChange` is called when a node falls silent, and when it is heard again. */
  constructor(onChange: (node: string, change: "silent" | "back") => void) {
    this.#onChange = onChange;
  }

  /** This node receives messages from now on. Returns whether that is for the first time. */
  connected(now: number): boolean {
    const isFirst = this.#connectedAt === Number.POSITIVE_INFINITY;
    if (isFirst) this.#connectedAt = now;
    return isFirst;
  }

  /** A message has arrived. */
  received(node: string, shard: number, n: number, now: number): void {
    const publisher = this.#heard(node, now);
    const track = publisher.tracks.get(shard);
    if (track) track.received(n);
    else this.#track(publisher, shard, n, { isFirst: n === 1, now });
  }

  /** A heartbeat has arrived. */
  heartbeat({ node, leaves, sent }: Heartbeat, now: number): void {
    const publisher = this.#heard(node, now);
    sent.forEach((n, shard) => {
      const track = publisher.tracks.get(shard);
      if (track) track.sent(n);
      else this.#track(publisher, shard, n, { isFirst: n === 0, now });
    });
    if (!leaves) return;
    // It gets no further check. The first call here makes everything sent overdue, the second finds what is missing.
    for (const [shard, track] of publisher.tracks) if (track.check() || track.check()) this.#missing.add(shard);
    this.#publishers.delete(node);
  }

  /** Counts the silence of every node from now on: until now this node could not hear any of them. */
  resetSilence(now: number): void {
    for (const publisher of this.#publishers.values()) publisher.heardAt = now;
  }

  /** Returns the gaps found since the last check. To be called twice a second. */
  check(now: number): Gaps {
    const missing = new Set(this.#missing);
    const uncertain = new Set(this.#uncertain);
    this.#missing.clear();
    this.#uncertain.clear();
    let silent = 0;
    let gaveUp = false;
    for (const [node, publisher] of this.#publishers) {
      for (const [shard, track] of publisher.tracks) if (track.check()) missing.add(shard);
      if (now - publisher.heardAt < silentMs) continue;
      silent++;
      if (!publisher.isSilent) this.#onChange(node, "silent");
      publisher.isSilent = true;
      if (now - publisher.heardAt < deadMs) continue;
      gaveUp = true;
      this.#publishers.delete(node);
    }
    return { missing, uncertain, silent, gaveUp };
  }

  #heard(node: string, now: number): Publisher {
    const publisher = this.#publishers.get(node) ?? { tracks: new Map(), heardAt: now, isSilent: false };
    this.#publishers.set(node, publisher);
    publisher.heardAt = now;
    if (publisher.isSilent) this.#onChange(node, "back");
    publisher.isSilent = false;
    return publisher;
  }

  /**
   * Starts a track at the first number heard. Unless it is the publisher's first one, the numbers before it were not
   * received: perhaps because this node has only just connected, else because they were lost.
   */
  #track(publisher: Publisher, shard: number, n: number, { isFirst, now }: { isFirst: boolean; now: number }): void {
    publisher.tracks.set(shard, new Track(n));
    if (isFirst) return;
    if (now - this.#connectedAt < newcomerMs) this.#uncertain.add(shard);
    else this.#missing.add(shard);
  }
}
