import type { OnlineTotals } from "../../ports/presence.ts";

/** The words of a slot: two hashes of the key, and a 64-bit value with the number of users and that of connections. */
const slotWords = 4;
/** The words before the first slot: whether there is a newer table, and three that are unused. */
const headerWords = 4;
const minSlots = 1024;

/** The seeds of the hashes, so that nobody can choose keys that share a slot's hashes. */
export type Seeds = readonly [number, number];

/** A table as it passes to other threads. */
export interface CountMemory {
  readonly buffer: SharedArrayBuffer;
  readonly seeds: Seeds;
}

/**
 * Online counts in shared memory, by key. One thread writes them and any number of threads read them, without a lock: a slot
 * that has a key keeps it, and its value is read and written in one step. A table that is half full is replaced by another
 * without the counts that are 0. It then says that it is retired, and readers use the other.
 *
 * A slot is found by 64 bits of hashes in place of the key: in one of ten million processes, two of a million keys share them.
 */
export class CountTable {
  readonly memory: CountMemory;
  readonly #words: Int32Array;
  readonly #values: BigInt64Array;
  readonly #mask: number;
  /** Slots with a key. */
  #used = 0;
  /** Slots whose count is not 0. */
  #live = 0;

  constructor(memory: CountMemory) {
    this.memory = memory;
    this.#words = new Int32Array(memory.buffer);
    this.#values = new BigInt64Array(memory.buffer);
    this.#mask = (this.#words.length - headerWords) / slotWords - 1;
  }

  /** Returns the count of a key; undefined once the table is retired. */
  get(key: string): OnlineTotals | undefined {
    const value = this.#read(this.#find(key));
    return Atomics.load(this.#words, 0) === 0 ? value : undefined;
  }

  /** Whether the table must be replaced before another key is set. */
  get isFull(): boolean {
    return this.#used * 2 > this.#mask;
  }

  /** Sets the count of a key. For the writer alone. */
  set(key: string, totals: OnlineTotals): void {
    const [first, second] = hash(key, this.memory.seeds);
    this.#set(first, second, totals);
  }

  /** Returns a table with the same counts and free slots for as many others. For the writer alone. */
  replace(): CountTable {
    let slots = minSlots;
    while (slots < this.#live * 4) slots *= 2;
    const next = new CountTable({ buffer: newBuffer(slots), seeds: this.memory.seeds });
    for (let slot = 0; slot <= this.#mask; slot++) {
      const at = headerWords + slot * slotWords;
      const first = this.#words[at] as number;
      if (first === 0) continue;
      const totals = this.#read(at);
      if (totals.connections > 0) next.#set(first, this.#words[at + 1] as number, totals);
    }
    return next;
  }

  /** Makes `get` return undefined in every thread. The newer table must have been posted to them before. */
  retire(): void {
    Atomics.store(this.#words, 0, 1);
  }

  #set(first: number, second: number, { users, connections }: OnlineTotals): void {
    const at = this.#slot(first, second);
    const isNew = this.#words[at] === 0;
    if (isNew) this.#used++;
    const wasLive = this.#read(at).connections > 0;
    this.#live += Number(connections > 0) - Number(wasLive);
    // Write the value before the key, so that a reader that finds the key finds its value.
    Atomics.store(this.#values, (at + 2) / 2, (BigInt(users) << 32n) | BigInt(connections));
    if (!isNew) return;
    this.#words[at + 1] = second;
    Atomics.store(this.#words, at, first);
  }

  #find(key: string): number {
    const [first, second] = hash(key, this.memory.seeds);
    return this.#slot(first, second);
  }

  /** The first word of the key's slot, or of the empty slot where it belongs. There is one: the table is not full. */
  #slot(first: number, second: number): number {
    for (let slot = second & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = headerWords + slot * slotWords;
      const found = Atomics.load(this.#words, at);
      if (found === 0 || (found === first && this.#words[at + 1] === second)) return at;
    }
  }

  #read(at: number): OnlineTotals {
    const value = Atomics.load(this.#values, (at + 2) / 2);
    return { users: Number(value >> 32n), connections: Number(value & 0xffffffffn) };
  }
}

/** Creates an empty table with random seeds. */
export function createCountTable(): CountTable {
  const [first = 0, second = 0] = crypto.getRandomValues(new Int32Array(2));
  return new CountTable({ buffer: newBuffer(minSlots), seeds: [first, second] });
}

function newBuffer(slots: number): SharedArrayBuffer {
  return new SharedArrayBuffer((headerWords + slots * slotWords) * Int32Array.BYTES_PER_ELEMENT);
}

/** Two hashes of 32 bits; the first is never 0, which marks an empty slot. The steps are those of MurmurHash3's finalizer. */
function hash(key: string, [seed1, seed2]: Seeds): readonly [number, number] {
  let first = seed1;
  let second = seed2;
  for (let index = 0; index < key.length; index++) {
    const unit = key.charCodeAt(index);
    first = Math.imul(first ^ unit, 0x9e3779b1);
    first ^= first >>> 15;
    second = Math.imul(second ^ unit, 0x85ebca6b);
    second ^= second >>> 13;
  }
  first = mix(first ^ key.length);
  second = mix(second ^ Math.imul(key.length, 0x5f356495));
  return [first === 0 ? 1 : first, second];
}

function mix(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
