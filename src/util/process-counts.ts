/** Counts by key that the threads of a process share, so that a limit holds for the process rather than for each thread. */
import { hash, randomUUID } from "node:crypto";

/** Counts by key, over all threads of the process. */
export interface ProcessCounts {
  /** The count of a key, over all threads. */
  get(key: string): number;
  /** Adds to the count of a key, from this thread. A key whose count is back at 0 takes no memory. */
  add(key: string, by: number): void;
}

/** The memory of the counts, which goes to each thread in its `workerData`. */
export interface ProcessCountMemory {
  readonly buffer: SharedArrayBuffer;
  /** The number of threads. */
  readonly threads: number;
  /** The most keys at a time. Further keys count 0, so the caller must also bound its own count. */
  readonly maxKeys: number;
  /** Mixed into the hashes of keys, so that nobody can choose keys that share a count. */
  readonly salt: string;
}

/** Slots of the hash table for each key, so that few keys share one. */
const slotsPerKey = 2;
/** Words before the hash table: the lock, the number of entries ever used, and the first free one of these plus 1. */
const header = { lock: 0, used: 1, free: 2, words: 4 } as const;

/** Creates the memory of the counts of `threads` threads. The system commits its pages as they are used. */
export function createProcessCountMemory(threads: number, maxKeys = 2 ** 18): ProcessCountMemory {
  const bytes = 4 * (header.words + slotsPerKey * maxKeys) + 8 * maxKeys * (1 + threads);
  return { buffer: new SharedArrayBuffer(bytes), threads, maxKeys, salt: randomUUID() };
}

/**
 * Counts in shared memory: a hash table of entries, each with one count per thread, so that the counts of a thread that died can
 * be taken back. One lock guards the table; a thread holds it for a few hundred nanoseconds.
 */
export class SharedProcessCounts implements ProcessCounts {
  readonly #threads: number;
  readonly #thread: number;
  readonly #maxKeys: number;
  readonly #slots: number;
  readonly #salt: string;
  readonly #header: Int32Array;
  /** By slot, the entry plus 1; 0 for an empty slot. Keys that share a slot are in the next ones, without a gap. */
  readonly #index: Int32Array;
  /** By entry, the hash of its key; of a free entry, the next free one plus 1. */
  readonly #keys: Float64Array;
  readonly #counts: Float64Array;

  /** `thread` is the index of the thread that adds, from 0. */
  constructor({ buffer, threads, maxKeys, salt }: ProcessCountMemory, thread: number) {
    this.#maxKeys = maxKeys;
    this.#slots = slotsPerKey * maxKeys;
    this.#threads = threads;
    this.#thread = thread;
    this.#salt = salt;
    this.#header = new Int32Array(buffer, 0, header.words);
    this.#index = new Int32Array(buffer, 4 * header.words, this.#slots);
    const keysAt = 4 * (header.words + this.#slots);
    this.#keys = new Float64Array(buffer, keysAt, maxKeys);
    this.#counts = new Float64Array(buffer, keysAt + 8 * maxKeys, maxKeys * threads);
  }

  get(key: string): number {
    const hashed = this.#hash(key);
    return this.#locked(() => this.#sum(this.#entryAt(this.#slotOf(hashed))));
  }

  add(key: string, by: number): void {
    const hashed = this.#hash(key);
    this.#locked(() => {
      const slot = this.#slotOf(hashed);
      const entry = this.#entryAt(slot) ?? this.#create(slot, hashed);
      if (entry === undefined) return;
      const at = entry * this.#threads + this.#thread;
      // The count would fall below 0 if the table was full when the key was added.
      this.#counts[at] = Math.max(0, (this.#counts[at] as number) + by);
      if (this.#sum(entry) === 0) this.#delete(slot, entry);
    });
  }

  /** Takes back all counts of a thread that has ended, whether or not it held the lock. */
  release(thread: number): void {
    if (Atomics.compareExchange(this.#header, header.lock, thread + 1, 0) === thread + 1)
      Atomics.notify(this.#header, 0);
    this.#locked(() => {
      for (let slot = 0; slot < this.#slots; slot++) {
        // A deletion may move another key into this slot.
        for (let entry = this.#entryAt(slot); entry !== undefined; entry = this.#entryAt(slot)) {
          this.#counts[entry * this.#threads + thread] = 0;
          if (this.#sum(entry) > 0) break;
          this.#delete(slot, entry);
        }
      }
    });
  }

  /** 48 bits, so that two of 100,000 keys share a hash once in 50,000 times. */
  #hash(key: string): number {
    return hash("sha256", this.#salt + key, "buffer").readUIntBE(0, 6);
  }

  #locked<T>(run: () => T): T {
    const own = this.#thread + 1;
    for (;;) {
      const holder = Atomics.compareExchange(this.#header, header.lock, 0, own);
      if (holder === 0) break;
      Atomics.wait(this.#header, header.lock, holder, 1);
    }
    try {
      return run();
    } finally {
      Atomics.store(this.#header, header.lock, 0);
      Atomics.notify(this.#header, header.lock, 1);
    }
  }

  /** The slot of the key, or the empty one where it belongs. There is one, because at most half of the slots are taken. */
  #slotOf(hashed: number): number {
    let slot = hashed % this.#slots;
    for (let entry = this.#entryAt(slot); entry !== undefined && this.#keys[entry] !== hashed; ) {
      slot = (slot + 1) % this.#slots;
      entry = this.#entryAt(slot);
    }
    return slot;
  }

  #entryAt(slot: number): number | undefined {
    const entry = this.#index[slot] as number;
    return entry === 0 ? undefined : entry - 1;
  }

  #sum(entry: number | undefined): number {
    if (entry === undefined) return 0;
    let sum = 0;
    const first = entry * this.#threads;
    for (let at = first; at < first + this.#threads; at++) sum += this.#counts[at] as number;
    return sum;
  }

  /** Creates an entry; undefined where there is no room. */
  #create(slot: number, hashed: number): number | undefined {
    const free = this.#header[header.free] as number;
    const entry = free === 0 ? (this.#header[header.used] as number) : free - 1;
    if (entry === this.#maxKeys) return undefined;
    if (free === 0) this.#header[header.used] = entry + 1;
    else this.#header[header.free] = this.#keys[entry] as number;
    this.#keys[entry] = hashed;
    this.#counts.fill(0, entry * this.#threads, (entry + 1) * this.#threads);
    this.#index[slot] = entry + 1;
    return entry;
  }

  #delete(slot: number, entry: number): void {
    // Move up the keys behind it that would no longer be found across the empty slot (Knuth, volume 3, algorithm 6.4R).
    let empty = slot;
    for (let next = (empty + 1) % this.#slots; ; next = (next + 1) % this.#slots) {
      const moved = this.#entryAt(next);
      if (moved === undefined) break;
      const home = (this.#keys[moved] as number) % this.#slots;
      const isBetween = empty <= next ? empty < home && home <= next : empty < home || home <= next;
      if (isBetween) continue;
      this.#index[empty] = moved + 1;
      empty = next;
    }
    this.#index[empty] = 0;
    // Free the entry last: a thread that is terminated in between leaks it, and does not let it be freed twice.
    this.#keys[entry] = this.#header[header.free] as number;
    this.#header[header.free] = entry + 1;
  }
}
