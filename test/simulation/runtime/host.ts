import type { Clock, Timer } from "../../../src/ports/clock.ts";
import type { Scheduler } from "./scheduler.ts";

/** The start of the simulation, in ms since the Unix epoch. */
export const epoch = 1_800_000_000_000;

/**
 * A machine that runs one node. Its process can be paused, killed and started again, and its clock can be wrong. All input
 * passes through `enter`, so that a paused process gets it late, and a killed one never.
 */
export class Host {
  readonly name: string;
  readonly #scheduler: Scheduler;
  /** Counts the starts of the process. Calls into an earlier incarnation are discarded. */
  incarnation = 0;
  /** The error of its clock, in ms. */
  skew = 0;
  #paused = false;
  #held: (() => void)[] = [];
  #timers = new Set<object>();

  constructor(name: string, scheduler: Scheduler) {
    this.name = name;
    this.#scheduler = scheduler;
  }

  /** Whether the process is paused. */
  get isPaused(): boolean {
    return this.#paused;
  }

  /** The number of timers of this incarnation that have not fired. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Calls inside the process: later when it is paused, never when the incarnation has ended. */
  enter(incarnation: number, call: () => void): void {
    if (incarnation !== this.incarnation) return;
    if (this.#paused) this.#held.push(() => this.enter(incarnation, call));
    else call();
  }

  /** Pauses the process, like SIGSTOP. */
  pause(): void {
    this.#paused = true;
  }

  /** Resumes the process, like SIGCONT. It now gets the calls that were held, in order. */
  resume(): void {
    this.#paused = false;
    const held = this.#held;
    this.#held = [];
    for (const call of held) this.#scheduler.at(0, call);
  }

  /** Kills the process, like SIGKILL. */
  kill(): void {
    this.incarnation++;
    this.#paused = false;
    this.#held = [];
    this.#timers = new Set();
  }

  /** The clock of the current incarnation. */
  get clock(): Clock {
    const { incarnation } = this;
    return {
      now: () => Math.floor(epoch + this.#scheduler.now + this.skew),
      elapsed: () => this.#scheduler.now,
      after: (milliseconds, call) => this.#after(incarnation, milliseconds, call),
    };
  }

  /** Calls at the end of the event-loop tick, in the current incarnation. */
  get defer(): (call: () => void) => void {
    const { incarnation } = this;
    return (call) => this.#scheduler.at(0, () => this.enter(incarnation, call));
  }

  #after(incarnation: number, milliseconds: number, call: () => void): Timer {
    const timers = this.#timers;
    const token = {};
    timers.add(token);
    const timer = this.#scheduler.at(milliseconds, () =>
      this.enter(incarnation, () => {
        // The timer may have been cancelled while the process was paused.
        if (timers.delete(token)) call();
      }),
    );
    return {
      cancel: () => {
        timers.delete(token);
        timer.cancel();
      },
    };
  }
}
