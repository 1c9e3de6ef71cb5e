import type { Clock, Timer } from "../../src/ports/clock.ts";
import type { Scheduler } from "./scheduler.ts";

/** Long after all publish times of tests, so that a clock can be set back. */
const epoch = 1_800_000_000_000;

/**
 * A machine on which a node runs: it can stop for a while, die and come back, and its clock can be wrong. Whatever comes
 * from outside enters by `enter`, so that a process which stopped is reached late, and one that died never.
 */
export class Host {
  readonly name: string;
  readonly #scheduler: Scheduler;
  /** Which life of the process this is; calls into an earlier one go nowhere. */
  life = 0;
  /** Milliseconds by which its clock is wrong. */
  skew = 0;
  #stopped = false;
  #held: (() => void)[] = [];
  #timers = new Set<object>();

  constructor(name: string, scheduler: Scheduler) {
    this.name = name;
    this.#scheduler = scheduler;
  }

  /** Whether it was stopped, and has not been continued. */
  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Timers of this life that have not fired. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Calls inside of the process that lived when this was asked for. */
  enter(life: number, call: () => void): void {
    if (life !== this.life) return;
    if (this.#stopped) this.#held.push(() => this.enter(life, call));
    else call();
  }

  /** SIGSTOP. */
  stop(): void {
    this.#stopped = true;
  }

  /** SIGCONT: what came meanwhile is done now, one after the other. */
  continue(): void {
    this.#stopped = false;
    const held = this.#held;
    this.#held = [];
    for (const call of held) this.#scheduler.at(0, call);
  }

  /** SIGKILL. */
  kill(): void {
    this.life++;
    this.#stopped = false;
    this.#held = [];
    this.#timers = new Set();
  }

  /** The clock of the present life. */
  get clock(): Clock {
    const { life } = this;
    return {
      now: () => Math.floor(epoch + this.#scheduler.now + this.skew),
      after: (milliseconds, call) => this.#after(life, milliseconds, call),
    };
  }

  /** What the present life does at the end of a turn of its event loop. */
  get defer(): (call: () => void) => void {
    const { life } = this;
    return (call) => this.#scheduler.at(0, () => this.enter(life, call));
  }

  #after(life: number, milliseconds: number, call: () => void): Timer {
    const timers = this.#timers;
    const token = {};
    timers.add(token);
    const timer = this.#scheduler.at(milliseconds, () =>
      this.enter(life, () => {
        // Cancelled while the process stood still.
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
