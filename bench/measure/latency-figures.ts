import { Figure, formatNumber } from "./figure.ts";
import type { Histogram } from "./histogram.ts";

/** One row of a latency table: the time from the publish of a message until a client has it, in ms. */
export class LatencyFigures {
  readonly name: string;
  readonly p50 = new Figure();
  readonly p99 = new Figure();

  constructor(name: string) {
    this.name = name;
  }

  /** Adds a round, as invalid when there is a reason. Round 0 is the warm-up and is ignored. */
  add(round: number, invalid: string | undefined, times: Histogram): void {
    if (round === 0) return;
    if (invalid === undefined) {
      this.p50.add(times.percentile(0.5));
      this.p99.add(times.percentile(0.99));
      return;
    }
    this.p50.reject(invalid);
    this.p99.reject(invalid);
  }

  /** The cells of the row: name, p50 and p99. */
  get cells(): string[] {
    return [this.name, this.p50.text(formatNumber), this.p99.text(formatNumber)];
  }
}
