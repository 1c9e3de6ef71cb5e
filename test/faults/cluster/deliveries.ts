import { percentile } from "../figures.ts";
import type { History } from "../history.ts";

/** A time within a run: both by performance.now(). */
export interface Period {
  readonly from: number;
  readonly to: number;
}

/** How long after its answer each message reached each page, in ms. */
export class Deliveries {
  readonly #all: readonly { readonly at: number; readonly tookMs: number }[];

  constructor({ answers, views }: History) {
    const answeredAt = new Map<string, number>();
    for (const { key, at } of answers) answeredAt.set(key, Math.min(at, answeredAt.get(key) ?? at));
    this.#all = views.flatMap(({ kind, entries }) =>
      kind === "list"
        ? []
        : entries.flatMap(({ key, at = 0 }) => {
            const answered = answeredAt.get(key);
            return answered === undefined ? [] : [{ at: answered, tookMs: Math.max(0, at - answered) }];
          }),
    );
  }

  /** The time that such a share of what was answered within some periods did not exceed. */
  percentile(share: number, periods: readonly Period[]): number {
    const within = this.#all.filter(({ at }) => periods.some(({ from, to }) => from <= at && at < to));
    return Math.round(
      percentile(
        within.map(({ tookMs }) => tookMs),
        share,
      ),
    );
  }
}
