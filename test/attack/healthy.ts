/** The healthy client and what it measures. */
import { percentile } from "../faults/figures.ts";
import { Process } from "./process.ts";

/** The measurements of one phase. Times are in ms. */
export interface Sample {
  /** From the time at which a publish was due to the arrival of its message on a stream. */
  readonly deliveries: readonly number[];
  /** From the time at which a ListUnread was due to its answer. */
  readonly lists: readonly number[];
  /** Calls that failed, messages that did not arrive, and streams that ended. */
  readonly failures: readonly string[];
}

/** The percentiles of a phase, in ms. */
export interface Times {
  readonly p50: number;
  readonly p99: number;
  readonly listP50: number;
}

/** The percentiles of the times of a phase. */
export function timesOf({ deliveries, lists }: Sample): Times {
  return { p50: percentile(deliveries, 0.5), p99: percentile(deliveries, 0.99), listP50: percentile(lists, 0.5) };
}

/** A healthy client in a process of its own. */
export class HealthyClient {
  readonly #process: Process;

  /** Opens its streams. The tokens are those of the user over WebSocket, the user over Connect, and the service. */
  constructor(url: string, tokens: readonly string[]) {
    this.#process = new Process("healthy-process.ts", [url, ...tokens]);
  }

  /** Begins to publish, list and measure. Resolves when its streams are open. */
  async start(): Promise<void> {
    await this.#process.call("start");
  }

  /** Ends the measurement, when everything that was published has arrived. */
  stop(): Promise<Sample> {
    return this.#process.call("stop");
  }

  /** Ends the client. */
  close(): Promise<void> {
    return this.#process.kill();
  }
}
