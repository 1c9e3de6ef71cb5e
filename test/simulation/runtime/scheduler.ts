import type { Timer } from "../../../src/ports/clock.ts";

interface Item {
  readonly time: number;
  /** Orders items of the same time by when they were added. */
  readonly order: number;
  call: (() => void) | undefined;
}

/**
 * The time and all events of a simulation: one queue of calls. Each call runs after every promise that the previous one
 * could settle has been followed. Nothing here reads the machine's clock.
 */
export class Scheduler {
  /** A binary heap with the earliest item first. */
  readonly #heap: Item[] = [];
  #now = 0;
  #calls = 0;
  #order = 0;

  /** The simulated time, in ms since the start. */
  get now(): number {
    return this.#now;
  }

  /** The number of calls that have run. */
  get calls(): number {
    return this.#calls;
  }

  /** Calls once, after `milliseconds`. */
  at(milliseconds: number, call: () => void): Timer {
    return this.when(this.#now + milliseconds, call);
  }

  /** Calls once, at `time`. Calls of the same time run in the order in which they were added. */
  when(time: number, call: () => void): Timer {
    const item: Item = { time: Math.max(this.#now, time), order: this.#order++, call };
    this.#push(item);
    return {
      cancel: () => {
        item.call = undefined;
      },
    };
  }

  /** Resolves after `milliseconds`. */
  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.at(milliseconds, resolve));
  }

  /** Runs all calls up to and including the time `until`. Rejects with the error of a call that throws. */
  run(until: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = () => {
        const item = this.#next(until);
        if (!item) {
          this.#now = until;
          resolve();
          return;
        }
        this.#now = item.time;
        this.#calls++;
        try {
          item.call?.();
        } catch (error) {
          reject(error);
          return;
        }
        // process.nextTick runs when the microtask queue is empty, so all promises that this call settled have been followed.
        queueMicrotask(() => process.nextTick(step));
      };
      process.nextTick(step);
    });
  }

  #next(until: number): Item | undefined {
    for (;;) {
      const [first] = this.#heap;
      if (!first || first.time > until) return undefined;
      this.#pop();
      if (first.call) return first;
    }
  }

  #push(item: Item): void {
    const heap = this.#heap;
    let index = heap.push(item) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(item, heap[parent] as Item)) break;
      heap[index] = heap[parent] as Item;
      index = parent;
    }
    heap[index] = item;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Item;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Item, heap[child] as Item)) child++;
      if (!isBefore(heap[child] as Item, last)) break;
      heap[index] = heap[child] as Item;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(a: Item, b: Item): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
