/** Several workers on one port of one machine: starts them, replaces those that die, and drains all of them together. */
import type { Logger } from "pino";
import type { Address } from "../../http/listener.ts";
import type { Context } from "../command.ts";
import { listenToSignals } from "./signals.ts";
import type { WorkerGroup, WorkerProcess } from "./worker-process.ts";

/** A worker that lives this long counts as healthy; one that ends earlier died young. In ms. */
export const healthyMs = 10_000;
/** The delay before the replacement of a worker that died young, in ms. It doubles with each such death in a row. */
export const restartMs = 500;
/** How many workers with one index may die young in a row before the supervisor gives up. */
export const maxYoungDeaths = 5;

/** Supervises the workers of one `tidings serve`. */
export class Supervisor {
  readonly #context: Pick<Context, "io" | "deps">;
  readonly #logger: Logger;
  readonly #group: WorkerGroup;
  readonly #live = new Set<WorkerProcess>();
  readonly #stop = Promise.withResolvers<void>();
  #stopping = false;
  /** Workers kept dying, so the others are drained and the exit code is 1. */
  #gaveUp = false;
  /** The failure of the parts that the workers share. */
  #failure: Error | undefined;

  constructor(context: Pick<Context, "io" | "deps">, logger: Logger, group: WorkerGroup) {
    this.#context = context;
    this.#logger = logger;
    this.#group = group;
  }

  /**
   * Runs until all workers have ended, and calls `ready` once when all of them accept connections. Returns 0 after a
   * complete drain, 1 when a second signal cut it short or workers kept dying, and the exit code of the first worker when
   * that one ended before it accepted connections. Rejects when the parts that the workers share cannot be opened or fail, and
   * with the error of a thread that ended before it accepted connections.
   */
  async run(ready: (address: Address) => void): Promise<number> {
    const { io, deps } = this.#context;
    // Listen before anything is opened: a signal meanwhile must still close the parts that the workers share.
    const signals = listenToSignals(io, deps.now);
    const forgetReload = io.onReload(() => {
      this.#group.reload?.();
      for (const worker of this.#live) worker.reload?.();
    });
    signals.first.then(() => {
      const ends = this.#group.kind === "thread" ? "the process" : "the processes";
      this.#logger.info(`draining; a second signal ends ${ends} at once`);
      this.#drain();
    });
    this.#group.failed?.then((error) => {
      this.#failure = error;
      this.#drain();
    });
    const cut = signals.second.then(() => 1);
    try {
      await this.#group.open?.();
      try {
        const code = await Promise.race([this.#runWorkers(ready), cut]);
        if (this.#failure) throw this.#failure;
        return code;
      } finally {
        for (const worker of this.#live) worker.kill();
        await Promise.race([this.#group.close?.(), cut]);
      }
    } finally {
      signals.forget();
      forgetReload();
    }
  }

  async #runWorkers(ready: (address: Address) => void): Promise<number> {
    if (this.#stopping) return 0;
    const { count, kind } = this.#group;
    // Start one process alone, so that an error in the options is reported once. The options of threads have been checked.
    const begun = Array.from({ length: kind === "process" ? 1 : count }, (_, index) => this.#start(index));
    const [first] = begun as [WorkerProcess];
    const address = await Promise.race([first.ready, ...begun.map((worker) => worker.exited.then(() => worker))]);
    if ("exited" in address) {
      if (address.error) throw address.error;
      const code = await address.exited;
      return this.#stopping && code === 0 ? this.#endOf(begun) : (code ?? 1);
    }
    const slots = Array.from({ length: count }, (_, index) => this.#keepRunning(index, begun[index]));
    Promise.all(slots.map(({ ready }) => ready)).then(() => ready(address));
    const clean = (await Promise.all(slots.map(({ ended }) => ended))).every(Boolean);
    return clean && !this.#gaveUp ? 0 : 1;
  }

  /** Waits for workers that drain before they are ready. Returns 0 if all of them end cleanly, else 1. */
  async #endOf(workers: readonly WorkerProcess[]): Promise<number> {
    const codes = await Promise.all(workers.map(({ exited }) => exited));
    return codes.every((code) => code === 0) ? 0 : 1;
  }

  #start(index: number): WorkerProcess {
    const worker = this.#group.start(index);
    this.#live.add(worker);
    worker.exited.then(() => this.#live.delete(worker));
    if (this.#stopping) worker.drain();
    return worker;
  }

  /**
   * Keeps one worker with this index running, `first` to begin with. `ready` resolves when the first of them accepts
   * connections; `ended` resolves after the drain, with whether the last one ended by itself with exit code 0.
   */
  #keepRunning(index: number, first: WorkerProcess | undefined): { ready: Promise<void>; ended: Promise<boolean> } {
    const ready = Promise.withResolvers<void>();
    const { now } = this.#context.deps;
    const noun = this.#group.kind === "thread" ? "thread" : "worker";
    const keep = async (): Promise<boolean> => {
      let youngDeaths = 0;
      for (let worker = first ?? this.#start(index); ; worker = this.#start(index)) {
        const startedAt = now();
        worker.ready.then(() => ready.resolve());
        const code = await worker.exited;
        if (this.#stopping) return code === 0;
        youngDeaths = now() - startedAt < healthyMs ? youngDeaths + 1 : 0;
        const { pid, error } = worker;
        const details = { worker: pid, code: code ?? null, youngDeaths, ...(error ? { err: error } : {}) };
        if (youngDeaths > maxYoungDeaths) return this.#giveUp(details);
        this.#logger.error(details, `a ${noun} died; starting a replacement`);
        if (youngDeaths > 0) await this.#wait(restartMs * 2 ** (youngDeaths - 1));
        if (this.#stopping) return true;
      }
    };
    return { ready: ready.promise, ended: keep() };
  }

  #giveUp(details: object): boolean {
    this.#logger.fatal(details, "workers keep dying; draining the others");
    this.#gaveUp = true;
    this.#drain();
    return false;
  }

  /** Waits, but no longer than until the drain begins. */
  async #wait(milliseconds: number): Promise<void> {
    const over = Promise.withResolvers<void>();
    const cancel = this.#context.deps.after(milliseconds, over.resolve);
    await Promise.race([over.promise, this.#stop.promise]);
    cancel();
  }

  #drain(): void {
    this.#stopping = true;
    this.#stop.resolve();
    for (const worker of this.#live) worker.drain();
  }
}
