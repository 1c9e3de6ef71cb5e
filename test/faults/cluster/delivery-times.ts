import type { History } from "../history.ts";

/** A period of a run, by performance.now(). */
export interface Period {
  readonly from: number;
  readonly to: number;
}

/** The times from the answer of each publish until each page has received the message, in ms. */
export class DeliveryTimes {
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

  /** The times of publishes that were answered within these periods. */
  within(periods: readonly Period[]): number[] {
    const isInside = ({ at }: { at: number }) => periods.some(({ from, to }) => from <= at && at < to);
    return this.#all.filter(isInside).map(({ tookMs }) => tookMs);
  }
}
