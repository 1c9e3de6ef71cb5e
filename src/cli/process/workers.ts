/** Several nodes on one port of one machine: starts them, replaces those that die, and drains all together. */
import type { Logger } from "pino";
import type { Address } from "../../http/listener.ts";
import type { Context } from "../commands/command.ts";
import { listenToSignals } from "./signals.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** A worker that served for so long was well, in ms. */
export const healthyMs = 10_000;
/** The wait before a worker that died young is replaced, in ms; doubles each time. */
export const restartMs = 500;
/** Workers of one place that die young in a row: more of them, and there is no use in going on. */
export const maxYoungDeaths = 5;

/** The processes of one `tidings serve --workers`. */
export class Workers {
  readonly #context: Context;
  readonly #logger: Logger;
  readonly #live = new Set<WorkerProcess>();
  readonly #stop = Promise.withResolvers<void>();
  #stopping = false;
  /** Something went wrong for good. */
  #failed = false;

  constructor(context: Context, logger: Logger) {
    this.#context = context;
    this.#logger = logger;
  }

  /** Answers 0 when all were drained, 1 when that was cut short or workers kept dying, else what the first one ended with. */
  async run(ready: (address: Address) => void): Promise<number> {
    const { io, deps, values } = this.#context;
    const signals = listenToSignals(io, deps.now);
    signals.first.then(() => {
      this.#logger.info("draining; a second signal ends the processes at once");
      this.#drain();
    });
    try {
      // Alone at first, so that what is wrong with the options is said once, by a process that ends with it.
      const first = this.#start(0);
      const address = await Promise.race([first.ready, first.exited]);
      if (typeof address !== "object") return address ?? 1;
      const places = Array.from({ length: values.workers }, (_, index) =>
        this.#keep(index, index === 0 ? first : undefined),
      );
      Promise.all(places.map((place) => place.serving)).then(() => ready(address));
      const ended = Promise.all(places.map((place) => place.ended)).then((clean) => clean.every(Boolean));
      const clean = await Promise.race([ended, signals.second.then(() => false)]);
      return clean && !this.#failed ? 0 : 1;
    } finally {
      signals.forget();
      for (const worker of this.#live) worker.kill();
    }
  }

  #start(index: number): WorkerProcess {
    const worker = this.#context.deps.startWorker(index);
    this.#live.add(worker);
    worker.exited.then(() => this.#live.delete(worker));
    if (this.#stopping) worker.drain();
    return worker;
  }

  /** One place, whoever fills it. `serving`: for the first time. `ended`: after draining; whether it ended by itself, with 0. */
  #keep(index: number, first: WorkerProcess | undefined): { serving: Promise<void>; ended: Promise<boolean> } {
    const serving = Promise.withResolvers<void>();
    const { now } = this.#context.deps;
    const fill = async (): Promise<boolean> => {
      let youngDeaths = 0;
      for (let worker = first ?? this.#start(index); ; worker = this.#start(index)) {
        const startedAt = now();
        worker.ready.then(() => serving.resolve());
        const code = await worker.exited;
        if (this.#stopping) return code === 0;
        youngDeaths = now() - startedAt < healthyMs ? youngDeaths + 1 : 0;
        const details = { worker: worker.pid, code: code ?? null, youngDeaths };
        if (youngDeaths > maxYoungDeaths) return this.#giveUp(details);
        this.#logger.error(details, "a worker died; another one takes its place");
        if (youngDeaths > 0) await this.#wait(restartMs * 2 ** (youngDeaths - 1));
        if (this.#stopping) return true;
      }
    };
    return { serving: serving.promise, ended: fill() };
  }

  #giveUp(details: object): boolean {
    this.#logger.fatal(details, "workers keep dying; draining the others");
    this.#failed = true;
    this.#drain();
    return false;
  }

  /** Less when the workers are to end. */
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
