/**
 * Port Bus over Redis Pub/Sub. All feeds and users are spread over a fixed number of channels that every node hears, so
 * that a Redis that starts again costs one SUBSCRIBE and not one per user. In a Cluster, too, by plain PUBLISH: every node
 * wants all channels anyway, one connection hears them all, and moving slots unsubscribes nobody, as it would by SPUBLISH.
 */

import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import type { Bus, BusEvent, BusFigures, Notice } from "../../ports/bus.ts";
import type { FeedKey } from "../../ports/store.ts";
import { fnv1a } from "../../util/keys.ts";
import { Listeners } from "../../util/listeners.ts";
import { decodeBeat, decodeNotices, encodeBeat, encodeNotices, sizeOf } from "./codec.ts";
import { prefixOf } from "./connect.ts";
import { GapDetector } from "./gap-detector.ts";
import { RedisLink } from "./link.ts";

/** Options of RedisBus. */
export interface RedisBusOptions {
  /** redis://, redis+sentinel:// or redis+cluster://, as src/adapters/redis/connect.ts takes them. */
  readonly url: string;
  /** Before the name of every channel. Default: the URL's. */
  readonly prefix?: string;
  /** Is told, in one sentence, when Redis is lost and found, and when a node falls silent. */
  readonly logger?: Logger | undefined;
}

/** What the bus has done so far, for metrics. */
export interface BusCounts {
  /** Messages sent to Redis. */
  sent: number;
  /** Messages that were not sent: Redis was away, or did not take them fast enough. */
  dropped: number;
  /** Messages heard from other nodes. */
  heard: number;
  /** LostNotices told for messages that were missing. */
  lost: number;
}

const shards = 32;
/** Of one message; a larger turn is several. */
const maxMessageBytes = 256 * 1024;
/** On the way to Redis at most; what is more is dropped, counted and healed. */
const maxSendingBytes = 16 * 1024 * 1024;
const tickMs = 500;
/** A heartbeat each so many ticks. */
const beatTicks = 2;
/** Without its own heartbeat for so long, a node is deaf. */
const deafMs = 3_000;
/** A connection on which nothing comes for so long is made anew. */
const stuckMs = 10_000;
const pollMs = 1_500;
const sweepMs = 60_000;

/** The bus of one node. */
export class RedisBus implements Bus {
  readonly counts: BusCounts = { sent: 0, dropped: 0, heard: 0, lost: 0 };
  readonly #node = randomUUID();
  readonly #prefix: string;
  readonly #logger: Logger | undefined;
  readonly #listeners = new Listeners<BusEvent>();
  readonly #link: RedisLink;
  readonly #publishers: GapDetector;
  readonly #timer: NodeJS.Timeout;
  readonly #sent: number[] = new Array<number>(shards).fill(0);
  /** What this turn has to send, by shard. */
  #turn = new Map<number, Notice[]>();
  #sendingBytes = 0;
  #ticks = 0;
  #tickedAt = performance.now();
  #beatHeardAt = Number.NEGATIVE_INFINITY;
  #connectedAt = performance.now();
  #polledAt = Number.NEGATIVE_INFINITY;
  #sweptAt = performance.now();
  /** Undefined until it has turned out. */
  #hears: boolean | undefined;
  /** Something came that this version cannot read. */
  #unread = false;
  #overflows = false;
  #closing: Promise<void> | undefined;

  /** Connects in the background. Throws a TypeError for a URL of an unknown form. */
  constructor({ url, prefix = prefixOf(url), logger }: RedisBusOptions) {
    this.#prefix = `${prefix}:bus:`;
    this.#logger = logger;
    const channels = ["beat", ...this.#sent.keys()].map((name) => `${this.#prefix}${name}`);
    this.#publishers = new GapDetector((node, change) => {
      if (change === "silent")
        logger?.warn({ node }, "a node has fallen silent; what it may have stored is polled for");
      else logger?.info({ node }, "a node that was silent is heard again");
    });
    this.#link = new RedisLink(url, channels, {
      message: (channel, bytes) => this.#take(channel, bytes),
      // Its own heartbeat proves that it hears, at once.
      up: () => {
        this.#connectedAt = performance.now();
        this.#beat();
      },
      down: () => {
        this.#beatHeardAt = Number.NEGATIVE_INFINITY;
        this.#tick();
      },
    });
    this.#timer = setInterval(() => {
      this.#ticks++;
      if (this.#ticks % beatTicks === 0) this.#beat();
      this.#tick();
      this.#look();
    }, tickMs).unref();
  }

  /** Whether this node hears what Redis carries. */
  get hears(): boolean {
    return this.#hears === true;
  }

  figures(): BusFigures {
    const { lost, sent, heard, dropped } = this.counts;
    return { connected: this.hears, losses: lost, sent, heard, dropped };
  }

  publish(notices: readonly Notice[]): void {
    if (this.#closing) return;
    for (const notice of notices) {
      const shard = shardOf(feedOf(notice));
      const queue = this.#turn.get(shard);
      if (queue) queue.push(notice);
      else if (this.#turn.set(shard, [notice]).size === 1) setImmediate(() => this.#flush());
    }
    for (const notice of notices) this.#listeners.call(notice);
  }

  subscribe(listener: (heard: BusEvent) => void): () => void {
    return this.#listeners.add(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    this.#listeners.clear();
    this.#flush();
    const goodbye = encodeBeat({ node: this.#node, leaves: true, sent: this.#sent });
    // Others need not look for what it might still say. Whether they hear it is not worth waiting for long.
    if (this.#link.isUp) await Promise.race([this.#send("beat", goodbye), new Promise((end) => setTimeout(end, 500))]);
    this.#link.close();
  }

  #flush(): void {
    const turn = this.#turn;
    this.#turn = new Map();
    this.#link.together(() => this.#sendTurn(turn));
  }

  #sendTurn(turn: ReadonlyMap<number, readonly Notice[]>): void {
    for (const [shard, notices] of turn) {
      for (const part of split(notices)) {
        // Taken before it is sent, so that what is not sent is missed.
        const n = ++(this.#sent[shard] as number);
        if (!this.#link.isUp || this.#isFull()) this.counts.dropped++;
        else void this.#send(String(shard), encodeNotices({ node: this.#node, shard, n }, part));
      }
    }
  }

  #isFull(): boolean {
    const full = this.#sendingBytes > maxSendingBytes;
    if (full && !this.#overflows) this.#logger?.warn("Redis takes notices too slowly; some are dropped and healed");
    this.#overflows = full;
    return full;
  }

  async #send(name: string, bytes: Buffer): Promise<void> {
    this.#sendingBytes += bytes.length;
    this.counts.sent++;
    try {
      await this.#link.commands.publish(`${this.#prefix}${name}`, bytes);
    } catch {
      // It was counted, and so is missed by whoever has not heard it.
      this.counts.dropped++;
    }
    this.#sendingBytes -= bytes.length;
  }

  #beat(): void {
    if (this.#link.isUp) void this.#send("beat", encodeBeat({ node: this.#node, leaves: false, sent: this.#sent }));
  }

  #take(channel: string, bytes: Buffer): void {
    const now = performance.now();
    try {
      if (channel === `${this.#prefix}beat`) {
        const beat = decodeBeat(bytes);
        if (beat.node !== this.#node) this.#publishers.beat(beat, now);
        else this.#echo(now);
        return;
      }
      const { node, shard, n, notices } = decodeNotices(bytes);
      if (node === this.#node) return;
      const heard = notices();
      this.counts.heard++;
      this.#publishers.heard(node, shard, n, now);
      for (const notice of heard) this.#listeners.call(notice);
    } catch {
      this.#unread = true;
    }
  }

  #echo(now: number): void {
    this.#beatHeardAt = now;
    if (this.#hears !== true) this.#tick();
  }

  /** Whether this node hears, and what follows when it does not. */
  #tick(): void {
    const now = performance.now();
    // A process that stood still has heard nothing, and nobody is to blame.
    const stoodStill = now - this.#tickedAt - 2 * tickMs;
    this.#tickedAt = now;
    if (stoodStill > 0) this.#beatHeardAt += stoodStill;
    const hears = now - this.#beatHeardAt < deafMs;
    const turned = hears !== this.#hears;
    if (turned) this.#turnedTo(hears, now);
    if (!hears || stoodStill > 0) this.#publishers.excuse(now);
    // Streams that were there before have missed what others said.
    const begins = turned && hears && this.#publishers.begin(now);
    if (turned || (!hears && now - this.#polledAt >= pollMs)) this.#loseAll(begins, now);
    if (this.#link.isUp && now - Math.max(this.#beatHeardAt, this.#connectedAt) > stuckMs) {
      this.#connectedAt = now;
      this.#link.restart();
    }
  }

  /** What others said, and this node has not heard. */
  #look(): void {
    const now = performance.now();
    const { missing, unheard, silent, gaveUp } = this.#publishers.look(now);
    if (missing.size > 0) this.counts.lost++;
    this.#lose(missing, true);
    this.#lose(unheard, false);
    const polls = (silent > 0 || this.#unread) && now - this.#polledAt >= pollMs;
    if (gaveUp || polls || now - this.#sweptAt >= sweepMs) this.#loseAll(gaveUp, now);
  }

  #lose(of: ReadonlySet<number>, certain: boolean): void {
    if (of.size > 0) this.#listeners.call({ type: "lost", touches: (feed) => of.has(shardOf(feed)), certain });
  }

  #loseAll(certain: boolean, now: number): void {
    this.#polledAt = this.#sweptAt = now;
    this.#unread = false;
    this.#listeners.call({ type: "lost", touches: () => true, certain });
  }

  #turnedTo(hears: boolean, now: number): void {
    // At the start nothing is wrong yet.
    if (!hears && this.#hears === undefined && now - this.#connectedAt < deafMs) return;
    this.#hears = hears;
    if (hears) this.#logger?.info("the bus is connected to Redis");
    else {
      const sentence = "the bus has lost Redis; messages of other nodes come by polling the store until it is back";
      this.#logger?.warn({ reason: this.#link.error || "nothing is heard" }, sentence);
    }
  }
}

/** A user's notices go with those of the user's own feed. */
function feedOf(notice: Notice): FeedKey {
  if (notice.type === "read" || notice.type === "disconnect") {
    return { tenant: notice.tenant, name: `user/${notice.user}` };
  }
  return notice.feed;
}

/** The same on every node. */
function shardOf({ tenant, name }: FeedKey): number {
  const hash = fnv1a(name, fnv1a("\n", fnv1a(tenant)));
  return ((hash ^ (hash >>> 16)) >>> 0) % shards;
}

/** In the order given, in parts that are no larger than a message may be. */
function split(notices: readonly Notice[]): readonly (readonly Notice[])[] {
  const parts: Notice[][] = [];
  let bytes = maxMessageBytes;
  for (const notice of notices) {
    const size = sizeOf(notice);
    if (bytes + size > maxMessageBytes) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(notice);
    bytes += size;
  }
  return parts;
}
