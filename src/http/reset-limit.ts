import { LruCache } from "../util/lru.ts";
import { TokenBucket } from "../util/token-bucket.ts";
import { networkOf } from "./client-address.ts";

/** A reset counts as rapid when it comes this soon after its stream was opened, in ms. Envoy draws the line there, too. */
const rapidMs = 1_000;
/** How long an address is watched after one of its connections was torn down, in ms. */
const watchMs = 10_000;
/** New HTTP/2 connections of a watched address: a second, and at once. */
const watchedRate = { perSecond: 2, burst: 2 };
/** The most addresses that are watched at a time; the least recently seen is forgotten first. */
const maxAddresses = 10_000;

/** The streams of one HTTP/2 connection, as far as its limit goes. */
export class StreamTally {
  readonly #bucket: TokenBucket;
  #opened = 0;
  #rapid = 0;

  constructor(rapidResets: number, now: number) {
    this.#bucket = new TokenBucket({ perSecond: rapidResets / 10, burst: rapidResets }, now);
  }

  /** Counts a stream that was opened. */
  opened(): void {
    this.#opened++;
  }

  /**
   * Counts a stream that the peer gave up before its response was complete. Returns true when the connection is to be torn
   * down.
   */
  reset(openedAt: number, now: number): boolean {
    if (now - openedAt >= rapidMs) return false;
    this.#rapid++;
    // A proxy may carry one abuser among many users: it keeps its connection while most of its streams are in order.
    return !this.#bucket.take(now) && this.#rapid * 2 > this.#opened;
  }
}

/**
 * The limit on rapid resets of HTTP/2 streams (CVE-2023-44487). A stream that is reset at once costs its peer two small
 * frames and the server a whole request, so a connection may do that `rapidResets` times, and a tenth of it each second. A
 * connection that exceeds this is torn down, and for some seconds its address gets few new HTTP/2 connections: few and not
 * none, because the address may be a proxy or many users behind one router, and only what is abuse counts against it.
 */
export class ResetLimit {
  readonly #rapidResets: number;
  readonly #now: () => number;
  readonly #watched = new LruCache<string, { until: number; connections: TokenBucket }>({ entries: maxAddresses });

  /** `now` returns a time in ms that never goes back. */
  constructor(rapidResets: number, now: () => number = () => performance.now()) {
    this.#rapidResets = rapidResets;
    this.#now = now;
  }

  /** Begins to count the streams of a connection. */
  connection(): StreamTally {
    return new StreamTally(this.#rapidResets, this.#now());
  }

  /** Watches the address of a connection that was torn down, or that flooded the node with frames. */
  strike(address: string | undefined): void {
    const now = this.#now();
    const key = networkOf(address ?? "");
    const connections = this.#watched.get(key)?.connections ?? new TokenBucket(watchedRate, now);
    this.#watched.set(key, { until: now + watchMs, connections });
  }

  /** Reports whether an address may have one more HTTP/2 connection now. */
  admits(address: string | undefined): boolean {
    const now = this.#now();
    const key = networkOf(address ?? "");
    const watched = this.#watched.get(key);
    if (!watched) return true;
    if (now < watched.until) return watched.connections.take(now);
    this.#watched.delete(key);
    return true;
  }
}
