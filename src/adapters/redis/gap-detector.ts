import type { Beat } from "./codec.ts";

/** Without a heartbeat for so long, a node is silent. */
const silentMs = 3_000;
/** A silent node may be cut off from Redis alone, and go on storing; after so long it counts as dead. */
const deadMs = 300_000;
/** Messages heard out of order that one track remembers. */
const maxAhead = 1000;
/** Who is there already when a node begins to hear is heard within so long: heartbeats come each second. */
const newcomerMs = 2_500;

/** What other nodes have said since the last look, and was not heard. */
export interface Loss {
  /** Shards whose messages are missing. */
  readonly missing: ReadonlySet<number>;
  /** Shards of nodes that had said something before this one heard anything: it may have missed them in its first moments. */
  readonly unheard: ReadonlySet<number>;
  /** Nodes of which nothing is heard. */
  readonly silent: number;
  /** One of them was given up: what it said last, nobody will ever know. */
  readonly gaveUp: boolean;
}

/** What came of one publisher's messages on one shard. */
class Track {
  /** All up to here were heard, or are known to be lost. */
  #through: number;
  readonly #ahead = new Set<number>();
  /** So many were sent. */
  #due: number;
  /** So many were sent by the look before: those had the time to come. */
  #overdue: number;

  constructor(through: number) {
    this.#through = this.#due = this.#overdue = through;
  }

  heard(n: number): void {
    this.sent(n);
    if (n > this.#through && this.#ahead.size < maxAhead) this.#ahead.add(n);
    this.#advance();
  }

  sent(n: number): void {
    this.#due = Math.max(this.#due, n);
  }

  /** Whether some have not come that had the time to. */
  look(): boolean {
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

interface Publisher {
  readonly tracks: Map<number, Track>;
  heardAt: number;
  isSilent: boolean;
}

/**
 * The other nodes, as far as they are heard: each counts what it sends per shard, and says the counts with its heartbeat,
 * so that what did not come is noticed although nothing comes after it. Times are in ms, of a clock that is not set back.
 */
export class GapDetector {
  readonly #publishers = new Map<string, Publisher>();
  readonly #missing = new Set<number>();
  readonly #unheard = new Set<number>();
  #since = Number.POSITIVE_INFINITY;
  readonly #told: (node: string, change: "silent" | "back") => void;

  /** `told` is called when a node falls silent, and when it is heard again. */
  constructor(told: (node: string, change: "silent" | "back") => void) {
    this.#told = told;
  }

  /** This node hears what is said, from now on. Answers whether that is for the first time. */
  begin(now: number): boolean {
    const isFirst = this.#since === Number.POSITIVE_INFINITY;
    if (isFirst) this.#since = now;
    return isFirst;
  }

  /** A message has come. */
  heard(node: string, shard: number, n: number, now: number): void {
    const publisher = this.#alive(node, now);
    const track = publisher.tracks.get(shard);
    if (track) track.heard(n);
    else this.#begin(publisher, shard, n, { isFirst: n === 1, now });
  }

  /** A heartbeat has come. */
  beat({ node, leaves, sent }: Beat, now: number): void {
    const publisher = this.#alive(node, now);
    sent.forEach((n, shard) => {
      const track = publisher.tracks.get(shard);
      if (track) track.sent(n);
      else this.#begin(publisher, shard, n, { isFirst: n === 0, now });
    });
    if (!leaves) return;
    // No look will find out any more. Twice: what is on its way has no time to come.
    for (const [shard, track] of publisher.tracks) if (track.look() || track.look()) this.#missing.add(shard);
    this.#publishers.delete(node);
  }

  /** This node could not hear: nobody else is to blame for the silence until now. */
  excuse(now: number): void {
    for (const publisher of this.#publishers.values()) publisher.heardAt = now;
  }

  /** What was lost since the last look; to be called twice a second. */
  look(now: number): Loss {
    const missing = new Set(this.#missing);
    const unheard = new Set(this.#unheard);
    this.#missing.clear();
    this.#unheard.clear();
    let silent = 0;
    let gaveUp = false;
    for (const [node, publisher] of this.#publishers) {
      for (const [shard, track] of publisher.tracks) if (track.look()) missing.add(shard);
      if (now - publisher.heardAt < silentMs) continue;
      silent++;
      if (!publisher.isSilent) this.#told(node, "silent");
      publisher.isSilent = true;
      if (now - publisher.heardAt < deadMs) continue;
      gaveUp = true;
      this.#publishers.delete(node);
    }
    return { missing, unheard, silent, gaveUp };
  }

  #alive(node: string, now: number): Publisher {
    const publisher = this.#publishers.get(node) ?? { tracks: new Map(), heardAt: now, isSilent: false };
    this.#publishers.set(node, publisher);
    publisher.heardAt = now;
    if (publisher.isSilent) this.#told(node, "back");
    publisher.isSilent = false;
    return publisher;
  }

  /** What came before the first that is heard may have been missed, unless it is the very first. */
  #begin(publisher: Publisher, shard: number, n: number, { isFirst, now }: { isFirst: boolean; now: number }): void {
    publisher.tracks.set(shard, new Track(n));
    if (isFirst) return;
    if (now - this.#since < newcomerMs) this.#unheard.add(shard);
    else this.#missing.add(shard);
  }
}
