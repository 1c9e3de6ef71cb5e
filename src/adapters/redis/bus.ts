/**
 * Port Bus over Redis Pub/Sub. Feeds and users are hashed to a fixed number of shards, a channel each, and every node
 * subscribes to all of them: a Redis that restarts costs one SUBSCRIBE, not one per user. A Cluster gets plain PUBLISH,
 * too: every node wants every channel anyway, one connection receives them all, and slots that move end no
 * subscription, as they would with SPUBLISH.
 *
 * Pub/Sub may lose messages. gap-detector.ts finds what was lost, and the bus reports it as a LostNotice. While this
 * node does not receive its own heartbeat, it cannot hear the others either, and reports every shard every 1.5 s.
 */

import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import type { Bus, BusEvent, BusFigures, Notice } from "../../ports/bus.ts";
import type { FeedKey } from "../../ports/store.ts";
import { Deadline } from "../../util/deadline.ts";
import { guard, warn } from "../../util/guard.ts";
import { fnv1a } from "../../util/keys.ts";
import { Listeners } from "../../util/listeners.ts";
import { decodeHeartbeat, decodeNotices, encodeHeartbeat, encodeNotices, estimateSize } from "./codec.ts";
import { prefixOf } from "./connect.ts";
import { GapDetector } from "./gap-detector.ts";
import { RedisLink } from "./link.ts";

/** Options of RedisBus. */
export interface RedisBusOptions {
  /** A URL of the form redis://, redis+sentinel:// or redis+cluster://, as connectRedis takes it. */
  readonly url: string;
  /** The start of every channel's name. Default: the prefix that the URL names. */
  readonly prefix?: string;
  /** Gets one line when Redis is lost or back, and when another node falls silent or is heard again. */
  readonly logger?: Logger | undefined;
}

/** Counters of a bus, for metrics. */
export interface BusCounts {
  /** Messages sent to Redis. */
  sent: number;
  /** Messages dropped because Redis was away or too slow. */
  dropped: number;
  /** Messages received from other nodes. */
  received: number;
  /** LostNotices about messages that are missing for certain. */
  lost: number;
}

/** The number of channels for notices, a constant of the wire format: every node must use the same. */
const shards = 32;
/** The most bytes of one message, apart from a notice that is larger. */
const maxMessageBytes = 256 * 1024;
/** The most bytes in flight to Redis. Messages beyond are dropped: other nodes find the gap and read the store. */
const maxInFlightBytes = 16 * 1024 * 1024;
const checkMs = 500;
/** A heartbeat is sent with every second check. */
const checksPerHeartbeat = 2;
/** A node that has not received its own heartbeat for this long is not connected. */
const deafMs = 3_000;
/** A connection on which nothing arrives for this long is replaced. */
const stuckMs = 10_000;
/** The pause between two LostNotices while messages may be missing. */
const pollMs = 1_500;
/** The pause between two LostNotices when nothing seems wrong, in case gap detection has missed something. */
const sweepMs = 60_000;
/** How long close waits for Redis. */
const closeMs = 500;

/** The bus of one node. */
export class RedisBus implements Bus {
  readonly counts: BusCounts = { sent: 0, dropped: 0, received: 0, lost: 0 };
  readonly #node = randomUUID();
  readonly #prefix: string;
  readonly #logger: Logger | undefined;
  readonly #listeners = new Listeners<BusEvent>();
  readonly #link: RedisLink;
  readonly #gaps: GapDetector;
  readonly #timer: NodeJS.Timeout;
  /** By shard, the number of the last message. */
  readonly #sent: number[] = new Array<number>(shards).fill(0);
  /** The notices of this event-loop tick, by shard. */
  #outbox = new Map<number, Notice[]>();
  #inFlightBytes = 0;
  #checks = 0;
  #checkedAt = performance.now();
  #ownHeartbeatAt = Number.NEGATIVE_INFINITY;
  /** When the link was last up, or was last replaced. */
  #linkedAt = performance.now();
  #polledAt = Number.NEGATIVE_INFINITY;
  #sweptAt = performance.now();
  /** Whether this node receives messages; undefined until the first attempt has succeeded or failed. */
  #connected: boolean | undefined;
  /** A message arrived that this version cannot read. */
  #receivedUnreadable = false;
  #overflows = false;
  #closing: Promise<void> | undefined;

  /** Connects in the background. Throws a TypeError for a URL of an unknown form. */
  constructor({ url, prefix = prefixOf(url), logger }: RedisBusOptions) {
    this.#prefix = `${prefix}:bus:`;
    this.#logger = logger;
    const channels = ["beat", ...this.#sent.keys()].map((name) => `${this.#prefix}${name}`);
    this.#gaps = new GapDetector((node, change) => {
      if (change === "silent") logger?.warn({ node }, "a node has fallen silent; polling the store for its messages");
      else logger?.info({ node }, "a node that was silent is heard again");
    });
    this.#link = new RedisLink(url, channels, {
      message: (channel, bytes) => this.#receive(channel, bytes),
      // This node's own heartbeat, once received, proves at once that the bus is connected.
      up: () => {
        this.#linkedAt = performance.now();
        this.#sendHeartbeat();
      },
      down: () => {
        this.#ownHeartbeatAt = Number.NEGATIVE_INFINITY;
        this.#checkConnection();
      },
    });
    this.#timer = setInterval(() => guard(warn, () => this.#tick()), checkMs).unref();
  }

  /** Whether this node receives what is published through Redis. */
  get isConnected(): boolean {
    return this.#connected === true;
  }

  figures(): BusFigures {
    const { lost, sent, received, dropped } = this.counts;
    return { connected: this.isConnected, losses: lost, sent, heard: received, dropped };
  }

  publish(notices: readonly Notice[]): void {
    if (this.#closing) return;
    for (const notice of notices) {
      const shard = shardOf(feedOf(notice));
      const queue = this.#outbox.get(shard);
      if (queue) queue.push(notice);
      else if (this.#outbox.set(shard, [notice]).size === 1) setImmediate(() => guard(warn, () => this.#flush()));
    }
    for (const notice of notices) this.#listeners.call(notice);
  }

  subscribe(listener: (event: BusEvent) => void): () => void {
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
    if (this.#link.isUp) {
      // Without this heartbeat, the other nodes would poll for messages of this one for five minutes.
      const goodbye = this.#send("beat", encodeHeartbeat({ node: this.#node, leaves: true, sent: this.#sent }));
      await new Deadline(closeMs, () => new Error("Redis did not answer in time")).race(goodbye).catch(() => {});
    }
    this.#link.close();
  }

  #tick(): void {
    this.#checks++;
    if (this.#checks % checksPerHeartbeat === 0) this.#sendHeartbeat();
    this.#checkConnection();
    this.#checkGaps();
  }

  #flush(): void {
    const outbox = this.#outbox;
    this.#outbox = new Map();
    this.#link.inOneWrite(() => this.#sendAll(outbox));
  }

  #sendAll(outbox: ReadonlyMap<number, readonly Notice[]>): void {
    for (const [shard, notices] of outbox) {
      for (const part of split(notices)) {
        // Number it before sending, so that the other nodes miss it when it is dropped.
        const n = ++(this.#sent[shard] as number);
        if (!this.#link.isUp || this.#isFull()) this.counts.dropped++;
        else void this.#send(String(shard), encodeNotices({ node: this.#node, shard, n }, part));
      }
    }
  }

  #isFull(): boolean {
    const full = this.#inFlightBytes > maxInFlightBytes;
    if (full && !this.#overflows)
      this.#logger?.warn("Redis takes notices too slowly; some are dropped, and other nodes read the store instead");
    this.#overflows = full;
    return full;
  }

  /** Never rejects. */
  async #send(name: string, bytes: Buffer): Promise<void> {
    this.#inFlightBytes += bytes.length;
    this.counts.sent++;
    try {
      await this.#link.commands.publish(`${this.#prefix}${name}`, bytes);
    } catch {
      // It has a number, so every node that has not received it will find the gap.
      this.counts.dropped++;
    }
    this.#inFlightBytes -= bytes.length;
  }

  #sendHeartbeat(): void {
    if (!this.#link.isUp) return;
    void this.#send("beat", encodeHeartbeat({ node: this.#node, leaves: false, sent: this.#sent }));
  }

  #receive(channel: string, bytes: Buffer): void {
    const now = performance.now();
    try {
      if (channel === `${this.#prefix}beat`) {
        const heartbeat = decodeHeartbeat(bytes);
        if (heartbeat.node !== this.#node) this.#gaps.heartbeat(heartbeat, now);
        else this.#receiveOwnHeartbeat(now);
        return;
      }
      const { node, shard, n, notices } = decodeNotices(bytes);
      if (node === this.#node) return;
      const decoded = notices();
      this.counts.received++;
      this.#gaps.received(node, shard, n, now);
      for (const notice of decoded) this.#listeners.call(notice);
    } catch {
      this.#receivedUnreadable = true;
    }
  }

  #receiveOwnHeartbeat(now: number): void {
    this.#ownHeartbeatAt = now;
    if (this.#connected !== true) this.#checkConnection();
  }

  /** Finds out whether this node still receives messages, and acts on what it finds. */
  #checkConnection(): void {
    const now = performance.now();
    // After an event-loop stall, heartbeats wait to be processed: do not count it, here or for the other nodes.
    const stalledMs = now - this.#checkedAt - 2 * checkMs;
    this.#checkedAt = now;
    if (stalledMs > 0) this.#ownHeartbeatAt += stalledMs;
    const connected = now - this.#ownHeartbeatAt < deafMs;
    const changed = connected !== this.#connected;
    if (changed) this.#setConnected(connected, now);
    if (!connected || stalledMs > 0) this.#gaps.resetSilence(now);
    // Streams that opened before the first connection have missed what the other nodes published.
    const isFirst = changed && connected && this.#gaps.connected(now);
    if (changed || (!connected && now - this.#polledAt >= pollMs)) this.#reportAll(isFirst, now);
    if (this.#link.isUp && now - Math.max(this.#ownHeartbeatAt, this.#linkedAt) > stuckMs) {
      this.#linkedAt = now;
      this.#link.restart();
    }
  }

  /** Finds out what the other nodes sent and this one did not receive, and reports it. */
  #checkGaps(): void {
    const now = performance.now();
    const { missing, uncertain, silent, gaveUp } = this.#gaps.check(now);
    if (missing.size > 0) this.counts.lost++;
    this.#report(missing, true);
    this.#report(uncertain, false);
    const polls = (silent > 0 || this.#receivedUnreadable) && now - this.#polledAt >= pollMs;
    if (gaveUp || polls || now - this.#sweptAt >= sweepMs) this.#reportAll(gaveUp, now);
  }

  #report(lost: ReadonlySet<number>, certain: boolean): void {
    if (lost.size > 0) this.#listeners.call({ type: "lost", touches: (feed) => lost.has(shardOf(feed)), certain });
  }

  #reportAll(certain: boolean, now: number): void {
    this.#polledAt = this.#sweptAt = now;
    this.#receivedUnreadable = false;
    this.#listeners.call({ type: "lost", touches: () => true, certain });
  }

  #setConnected(connected: boolean, now: number): void {
    // While the first connection is still being made, nothing is wrong.
    if (!connected && this.#connected === undefined && now - this.#linkedAt < deafMs) return;
    this.#connected = connected;
    if (connected) this.#logger?.info("the bus is connected to Redis");
    else {
      const reason = this.#link.error || "no heartbeat arrives";
      this.#logger?.warn({ reason }, "the bus has lost Redis; polling the store for messages of other nodes");
    }
  }
}

/** Returns the feed whose shard carries a notice: notices about a user go with those of the user's own feed. */
function feedOf(notice: Notice): FeedKey {
  if (notice.type === "read" || notice.type === "disconnect") {
    return { tenant: notice.tenant, name: `user/${notice.user}` };
  }
  return notice.feed;
}

/** Returns the shard of a feed, the same on every node. */
function shardOf({ tenant, name }: FeedKey): number {
  const hash = fnv1a(name, fnv1a("\n", fnv1a(tenant)));
  return ((hash ^ (hash >>> 16)) >>> 0) % shards;
}

/** Splits notices, in order, into parts that each fit into a message. */
function split(notices: readonly Notice[]): readonly (readonly Notice[])[] {
  const parts: Notice[][] = [];
  let bytes = maxMessageBytes;
  for (const notice of notices) {
    const size = estimateSize(notice);
    if (bytes + size > maxMessageBytes) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(notice);
    bytes += size;
  }
  return parts;
}
