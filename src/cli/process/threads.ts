/** Threads that share a port, a store and the limits of one process, for the embedded store. */
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import type { Logger } from "pino";
import type { Address } from "../../http/listener.ts";
import { resolveInFlight } from "../../in-flight-options.ts";
import { defaultRingBytes } from "../../options.ts";
import { SharedProcess } from "../../shared-process.ts";
import { rereadFiles } from "../config/server-options.ts";
import type { Values } from "../config/settings.ts";
import { listenError } from "./run-server.ts";
import { hasFlag } from "./semi-space.ts";
import { holdPort } from "./share-port.ts";
import type { FromThread, ThreadData, ToThread } from "./thread-messages.ts";
import type { ThreadGroup, WorkerProcess } from "./worker-process.ts";

/** How long a scrape waits for the metrics of a thread, in ms. */
const metricsMs = 2_000;

/** A thread that runs. */
interface RunningThread {
  readonly worker: Worker;
  /** The last metrics that it has sent. */
  page: string;
  /** Called with its next metrics. */
  readonly scrapes: Set<() => void>;
}

/** The threads of one `tidings serve`. The first thread of the process runs no server, and has the parts that they share. */
export class Threads implements ThreadGroup {
  readonly kind = "thread";
  readonly count: number;
  readonly #values: Values;
  readonly #logger: Logger;
  readonly #shared: SharedProcess;
  readonly #running = new Set<RunningThread>();
  /** The port, once a thread listens on it. */
  #port: number | undefined;
  /** Gives up the port, which is kept until a thread has it. */
  #stopHolding = () => {};
  /** The URL of the metrics. */
  metricsUrl: string | undefined;

  constructor(values: Values, count: number, logger: Logger) {
    this.count = count;
    // Resolve defaults that depend on the heap here: each thread has only a part of it.
    const { ringBytes = defaultRingBytes(), inFlightNodeBytes = resolveInFlight().nodeBytes } = values;
    this.#values = { ...values, ringBytes, inFlightNodeBytes };
    this.#logger = logger;
    this.#shared = new SharedProcess({ data: values.data, keep: values.retentionCount, count, logger });
  }

  get failed(): Promise<Error> {
    return this.#shared.failed;
  }

  async open(): Promise<void> {
    const { host, port, metricsAddress } = this.#values;
    // SO_REUSEPORT would also share the port with any other server of this user that sets it: refuse a port in use.
    if (port !== 0) {
      this.#stopHolding = await holdPort({ host, port }).catch((error) => {
        throw listenError(error, { host, port });
      });
    }
    try {
      await this.#shared.open();
    } catch (error) {
      this.#stopHolding();
      throw error;
    }
    if (!metricsAddress) return;
    try {
      this.metricsUrl = await this.#shared.serveMetrics(metricsAddress, () => this.#pages());
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  start(index: number): WorkerProcess {
    const { parts, transfer } = this.#shared.connect(index);
    const workerData: ThreadData = { values: this.#values, count: this.count, parts };
    const worker = new Worker(new URL(`./thread${import.meta.url.slice(-3)}`, import.meta.url), {
      workerData,
      transferList: transfer,
      name: `tidings-${index}`,
      resourceLimits: this.#heapLimits(),
    });
    const running: RunningThread = { worker, page: "", scrapes: new Set() };
    this.#running.add(running);
    const ready = Promise.withResolvers<Address>();
    const exited = Promise.withResolvers<number>();
    let error: Error | undefined;
    worker.on("message", (message: FromThread) => {
      if (message.type === "ready") {
        ready.resolve(message.address);
        this.#share(message.address.port);
      } else {
        running.page = message.page;
        for (const scraped of running.scrapes) scraped();
      }
    });
    worker.on("error", (thrown: Error) => {
      error = thrown;
    });
    worker.on("exit", (code) => {
      this.#running.delete(running);
      for (const scraped of running.scrapes) scraped();
      this.#shared.disconnect(parts, running.page);
      exited.resolve(code);
    });
    // With port 0, the kernel chooses the port of the first thread, and the others wait for it.
    const port = this.#port ?? (index === 0 || this.#values.port !== 0 ? this.#values.port : undefined);
    if (port !== undefined) post(worker, { type: "listen", port });
    return {
      pid: worker.threadId,
      ready: ready.promise,
      exited: exited.promise,
      get error() {
        return error;
      },
      drain: () => post(worker, { type: "drain" }),
      kill: () => void worker.terminate(),
    };
  }

  reload(): void {
    try {
      const fresh = rereadFiles(this.#values);
      for (const { worker } of this.#running) post(worker, { type: "reload", fresh });
      this.#logger.info("secrets and certificates were read again");
    } catch (error) {
      this.#logger.error({ err: error }, "secrets and certificates stay as they were: the files cannot be used");
    }
  }

  async close(): Promise<void> {
    this.#stopHolding();
    await this.#shared.close();
  }

  /** Lets the threads that wait for the port listen on it. */
  #share(port: number): void {
    if (this.#port !== undefined) return;
    this.#port = port;
    this.#stopHolding();
    for (const { worker } of this.#running) post(worker, { type: "listen", port });
  }

  /** An equal part of the process's heap, and semi-spaces of the configured size; a young generation has three of these. */
  #heapLimits(): { maxOldGenerationSizeMb: number; maxYoungGenerationSizeMb?: number } {
    const { semiSpace } = this.#values;
    const megabytes = Math.floor(getHeapStatistics().heap_size_limit / 2 ** 20 / this.count);
    // The flag would override the limit of each thread, so give it the limit of a thread.
    if (hasFlag("--max-old-space-size", process)) setFlagsFromString(`--max-old-space-size=${megabytes}`);
    return {
      maxOldGenerationSizeMb: megabytes,
      ...(semiSpace === 0 ? {} : { maxYoungGenerationSizeMb: 3 * semiSpace }),
    };
  }

  async #pages(): Promise<readonly string[]> {
    await Promise.all([...this.#running].map((thread) => this.#scrape(thread)));
    return [...this.#running].map(({ page }) => page);
  }

  /** Resolves when the thread has sent its metrics, has ended, or has not answered in time; its last page is used then. */
  #scrape({ worker, scrapes }: RunningThread): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        scrapes.delete(done);
        resolve();
      };
      const timer = setTimeout(done, metricsMs);
      scrapes.add(done);
      post(worker, { type: "metrics" });
    });
  }
}

function post(worker: Worker, message: ToThread): void {
  worker.postMessage(message);
}
