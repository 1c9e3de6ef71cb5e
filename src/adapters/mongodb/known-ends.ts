import { LruCache } from "../../util/lru.ts";

/** Memory for the ends of feeds, in bytes: some 200,000 feeds with usual names. Forgetting one costs a query of an index. */
const maxBytes = 32 * 1024 * 1024;
/** Memory of one feed besides its name, in bytes. */
const feedBytes = 128;

/** The end of a feed: it is on a majority, whichever node wrote it. */
export interface KnownEnd {
  readonly seq: number;
  /** When it was learned, by the time of an Inserted. */
  readonly time: number;
}

interface Remembered extends KnownEnd {
  /** False once another node has appended, or an append was not confirmed. */
  current: boolean;
}

/**
 * The ends of feeds that this node has learned. Only what is on a majority is learned, so none of it is rolled back.
 */
export class KnownEnds {
  readonly #ends = new LruCache<string, Remembered>({
    cost: maxBytes,
    costOf: (_end, f) => feedBytes + f.length,
  });

  /** The end that an append may build on; undefined if it has to be read first. */
  current(f: string): KnownEnd | undefined {
    const end = this.#ends.get(f);
    return end?.current ? end : undefined;
  }

  /** The highest number that is known to be durable, perhaps not the last one; 0 for none. */
  floor(f: string): number {
    return this.#ends.get(f)?.seq ?? 0;
  }

  /** Learns an end that is on a majority. */
  learn(f: string, seq: number, time: number): void {
    this.#ends.set(f, { seq: Math.max(seq, this.floor(f)), time, current: true });
  }

  /** Another node has appended, or it is not known whether an append arrived: the end has to be read again. */
  invalidate(f: string): void {
    const end = this.#ends.get(f);
    if (end) end.current = false;
  }
}
