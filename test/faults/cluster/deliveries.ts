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
    this.#all = views.flatMap(({ entries, times = [] }) =>
      times.flatMap((at, index) => {
        const answered = answeredAt.get(entries[index]?.key ?? "");
        return answered === undefined ? [] : [{ at: answered, tookMs: Math.max(0, at - answered) }];
      }),
    );
  }

  /** Of what was answered within some periods. */
  within(periods: readonly Period[]): number[] {
    const inside = ({ at }: { at: number }) => periods.some(({ from, to }) => from <= at && at < to);
    return this.#all.filter(inside).map(({ tookMs }) => tookMs);
  }
}
