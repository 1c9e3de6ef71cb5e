import type { Timer } from "../../src/ports/clock.ts";

interface Item {
  readonly time: number;
  /** Items of one time come in the order in which they were made. */
  readonly order: number;
  call: (() => void) | undefined;
}

/**
 * All time and all input of a simulated world: one queue of calls, of which one is made at a time, after everything that
 * follows from the one before has settled. Nothing here looks at the machine's clock.
 */
export class Scheduler {
  /** Binary heap, the earliest first. */
  readonly #heap: Item[] = [];
  #now = 0;
  #made = 0;
  #order = 0;

  /** Milliseconds since the world began. */
  get now(): number {
    return this.#now;
  }

  /** Calls made so far. */
  get made(): number {
    return this.#made;
  }

  /** Calls once, after so many milliseconds. */
  at(milliseconds: number, call: () => void): Timer {
    return this.when(this.#now + milliseconds, call);
  }

  /** Calls once, at a time: what is to come at the same time keeps its order, whenever it was asked for. */
  when(time: number, call: () => void): Timer {
    const item: Item = { time: Math.max(this.#now, time), order: this.#order++, call };
    this.#push(item);
    return {
      cancel: () => {
        item.call = undefined;
      },
    };
  }

  /** Settles after so many milliseconds. */
  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.at(milliseconds, resolve));
  }

  /** Makes all calls that are due up to a time. Rejects with what a call throws. */
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
        this.#made++;
        try {
          item.call?.();
        } catch (error) {
          reject(error);
          return;
        }
        // A tick runs once no microtask is left: every promise that this call could settle has been followed.
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
