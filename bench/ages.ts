import { Figure, plain } from "./figure.ts";
import type { Histogram } from "./histogram.ts";

/** A row of ages: from publishing to a message in the hands of a client, in ms. */
export class Ages {
  readonly name: string;
  readonly p50 = new Figure();
  readonly p99 = new Figure();

  constructor(name: string) {
    this.name = name;
  }

  /** Adds a round, or names why it does not count. The first one, 0, warms up. */
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

  /** Name, p50 and p99. */
  get cells(): string[] {
    return [this.name, this.p50.text(plain), this.p99.text(plain)];
  }
}
