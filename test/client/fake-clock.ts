import type { Clock } from "../../src/ports/clock.ts";

/** A clock that the test advances. */
export class FakeClock implements Clock {
  #now = 1_700_000_000_000;
  readonly #timers = new Set<{ at: number; call: () => void }>();

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, call: () => void): { cancel(): void } {
    const timer = { at: this.#now + Math.max(0, milliseconds), call };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** The delays of the pending timers in ms, shortest first. */
  get pending(): number[] {
    return [...this.#timers].map(({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  /** Advances the time in ms, and fires the due timers in order; promises settle after each one. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    for (;;) {
      const next = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = next.at;
      next.call();
      await settled();
    }
    this.#now = end;
    await settled();
  }

  /** Advances the time in ms without firing timers, as if the machine had slept. */
  sleep(milliseconds: number): void {
    this.#now += milliseconds;
  }
}

/** Resolves after every promise that can settle without input or output. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
