/** Several nodes on one port of one machine: starts them, replaces those that die, and drains all of them together. */
import type { Logger } from "pino";
import type { Address } from "../../http/listener.ts";
import type { Context } from "../command.ts";
import { listenToSignals } from "./signals.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** A worker that lives this long counts as healthy; one that ends earlier died young. In ms. */
export const healthyMs = 10_000;
/** The delay before the replacement of a worker that died young, in ms. It doubles with each such death in a row. */
export const restartMs = 500;
/** How many workers with one index may die young in a row before the supervisor gives up. */
export const maxYoungDeaths = 5;

/** Supervises the workers of one `tidings serve --workers`. */
export class Supervisor {
  readonly #context: Context;
  readonly #logger: Logger;
  readonly #live = new Set<WorkerProcess>();
  readonly #stop = Promise.withResolvers<void>();
  #stopping = false;
  /** Workers kept dying, so the others are drained and the exit code is 1. */
  #gaveUp = false;

  constructor(context: Context, logger: Logger) {
    this.#context = context;
    this.#logger = logger;
  }

  /**
   * Runs until all workers have ended, and calls `ready` once when all of them accept connections. Returns 0 after a
   * complete drain, 1 when a second signal cut it short or workers kept dying, and the exit code of the first worker when
   * that one ended before it accepted connections.
   */
  async run(ready: (address: Address) => void): Promise<number> {
    const { io, deps, values } = this.#context;
    const signals = listenToSignals(io, deps.now);
    const forgetReload = io.onReload(() => {
      for (const worker of this.#live) worker.reload();
    });
    signals.first.then(() => {
      this.#logger.info("draining; a second signal ends the processes at once");
      this.#drain();
    });
    try {
      // Start one worker alone, so that an error in the options is reported once and ends the command.
      const first = this.#start(0);
      const address = await Promise.race([first.ready, first.exited]);
      if (typeof address !== "object") return address ?? 1;
      const slots = Array.from({ length: values.workers }, (_, index) =>
        this.#keepRunning(index, index === 0 ? first : undefined),
      );
      Promise.all(slots.map(({ ready }) => ready)).then(() => ready(address));
      const ended = Promise.all(slots.map(({ ended }) => ended)).then((clean) => clean.every(Boolean));
      const clean = await Promise.race([ended, signals.second.then(() => false)]);
      return clean && !this.#gaveUp ? 0 : 1;
    } finally {
      signals.forget();
      forgetReload();
      for (const worker of this.#live) worker.kill();
    }
  }

  #start(index: number): WorkerProcess {
    const { deps, values } = this.#context;
    const worker = deps.startWorker(index, values.semiSpace);
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
    const keep = async (): Promise<boolean> => {
      let youngDeaths = 0;
      for (let worker = first ?? this.#start(index); ; worker = this.#start(index)) {
        const startedAt = now();
        worker.ready.then(() => ready.resolve());
        const code = await worker.exited;
        if (this.#stopping) return code === 0;
        youngDeaths = now() - startedAt < healthyMs ? youngDeaths + 1 : 0;
        const details = { worker: worker.pid, code: code ?? null, youngDeaths };
        if (youngDeaths > maxYoungDeaths) return this.#giveUp(details);
        this.#logger.error(details, "a worker died; starting a replacement");
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
