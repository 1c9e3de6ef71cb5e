/** Assembles the parts that the event loops of one process share. server.ts creates the server of each. */
import type { MessagePort } from "node:worker_threads";
import type { Logger } from "pino";
import { mergePages } from "./adapters/prometheus/merge.ts";
import type { Prometheus } from "./adapters/prometheus/prometheus.ts";
import { exposureOf } from "./adapters/sqlite/file-modes.ts";
import { ThreadHost } from "./adapters/threads/host.ts";
import type { ThreadLink } from "./adapters/threads/link.ts";
import { createFirstMemory } from "./util/first-of-threads.ts";
import { importWith } from "./util/packages.ts";
import { createProcessCountMemory, type ProcessCountMemory, SharedProcessCounts } from "./util/process-counts.ts";

/** The shared parts of a process, as a thread gets them in its `workerData`. */
export interface ThreadParts {
  readonly link: ThreadLink;
  readonly processCounts: ProcessCountMemory;
  /** The memory of FirstOfThreads. */
  readonly first: SharedArrayBuffer;
  /** The index of the thread, from 0. */
  readonly index: number;
}

/** Options of the parts. */
export interface SharedProcessOptions {
  /** The folder of the embedded store, or `:memory:`. */
  readonly data: string;
  /** The number of messages that the store keeps per feed. */
  readonly keep: number;
  /** The number of threads. */
  readonly count: number;
  readonly logger: Logger;
}

/** The parts that belong to a process and not to one of its event loops. They live in its first thread. */
export class SharedProcess {
  /** Resolves to the reason once the store has failed for good, and stays pending otherwise. */
  readonly failed: Promise<Error>;
  readonly #options: SharedProcessOptions;
  readonly #host: ThreadHost;
  readonly #memory: ProcessCountMemory;
  readonly #processCounts: SharedProcessCounts;
  readonly #first = createFirstMemory();
  #prometheus: Prometheus | undefined;
  /** The counters of threads that have ended, joined into one page: a counter must not fall. */
  #ended = "";

  constructor(options: SharedProcessOptions) {
    const { data, keep, count, logger } = options;
    this.#options = options;
    this.#host = new ThreadHost({ folder: data, keep, logger });
    this.failed = this.#host.failed;
    this.#memory = createProcessCountMemory(count);
    this.#processCounts = new SharedProcessCounts(this.#memory, count);
  }

  /** Opens the store. Rejects when it is in use or damaged. */
  async open(): Promise<void> {
    const { data, logger } = this.#options;
    await this.#host.open();
    const exposure = data === ":memory:" ? undefined : exposureOf(data);
    if (exposure !== undefined) logger.warn(exposure);
  }

  /** Connects a new thread. `transfer` goes into its `transferList`. */
  connect(index: number): { readonly parts: ThreadParts; readonly transfer: MessagePort[] } {
    const { link, transfer } = this.#host.connect();
    return { parts: { link, processCounts: this.#memory, first: this.#first, index }, transfer };
  }

  /** Takes back the connections, counts and calls of a thread that has ended. `metrics` is the last page that it sent. */
  disconnect({ link, index }: ThreadParts, metrics: string): void {
    this.#host.disconnect(link);
    this.#processCounts.release(index);
    this.#ended = mergePages([], [this.#ended, metrics]);
  }

  /**
   * Serves the metrics of the process: those of all threads, whose pages `read` returns, as one. Resolves with the URL.
   * Rejects when the port is in use.
   */
  async serveMetrics(
    at: { readonly host?: string; readonly port: number },
    read: () => Promise<readonly string[]>,
  ): Promise<string> {
    const { openPrometheus } = await importWith(
      "metrics",
      ["prom-client"],
      () => import("./adapters/prometheus/prometheus.ts"),
    );
    this.#prometheus = openPrometheus(async () => ({ running: await read(), ended: [this.#ended] }));
    return this.#prometheus.serve(at);
  }

  /** Closes the store and the metrics. To be called once all threads have ended. */
  async close(): Promise<void> {
    await this.#prometheus?.close();
    await this.#host.close();
  }
}
