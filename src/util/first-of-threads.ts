/** Decides which of several threads is the first to do something, such as to alert a user for a message. */
import { fnv1a } from "./keys.ts";

/** Slots of the table, a power of two. With 10,000 other keys in between, 1 key in 100 is forgotten. */
const slots = 2 ** 20;
/** The start of the second hash, any value but that of the first. */
const otherBasis = 0x2545f491;

/** Creates the memory that the threads share. The system commits its pages as they are used. */
export function createFirstMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(slots * Int32Array.BYTES_PER_ELEMENT);
}

/** The keys that threads have passed, in one table without a lock. A key is forgotten when another one takes its slot. */
export class FirstOfThreads {
  readonly #tags: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#tags = new Int32Array(memory);
  }

  /** Returns true to the first caller with these two texts, and false to all others, of any thread. */
  isFirst(one: string, other: string): boolean {
    const slot = spread(fnv1a(other, fnv1a(one))) % slots;
    // Never 0, which is an empty slot.
    const tag = spread(fnv1a(other, fnv1a(one, otherBasis))) | 1;
    return Atomics.exchange(this.#tags, slot, tag) !== tag;
  }
}

/** Spreads the bits of a hash, whose low ones depend on the low ones of its text alone (the finalizer of MurmurHash3). */
function spread(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
