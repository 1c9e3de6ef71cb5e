import { type Figure, formatNumber } from "../../measure/figure.ts";
import { dot, legend, line, logScale, logTicks, path, svg, text } from "./svg.ts";

/** A chart with lines. Both axes are logarithmic. */
export interface LineChart {
  readonly title: string;
  /** The label of the horizontal axis. */
  readonly across: string;
  /** The values on the horizontal axis, ascending and positive. */
  readonly values: readonly number[];
  readonly series: readonly {
    readonly name: string;
    /** One figure per value; a figure without a valid round is left out. */
    readonly figures: readonly Figure[];
  }[];
}

const width = 720;
const height = 380;
const left = 70;
const right = 700;
const top = 76;
const bottom = 320;

/** Draws the median of each figure as a dot, with a line from its minimum to its maximum. */
export function lineChart({ title, across, values, series }: LineChart): string {
  const all = series.flatMap(({ figures }) => figures).filter(({ median }) => median > 0);
  const rows = logTicks(Math.min(...all.map(({ min }) => min)), Math.max(...all.map(({ max }) => max)));
  const x = logScale([values[0] as number, values.at(-1) as number], left + 20, right - 20);
  const y = logScale(rows, bottom, top);
  return svg(width, height, title, [
    ...legend(
      left,
      48,
      series.map(({ name }) => name),
    ),
    ...rows.flatMap((tick) => [
      line(left, y(tick), right, y(tick), "grid"),
      text(left - 8, y(tick) + 4, formatNumber(tick), "end"),
    ]),
    ...values.map((value) => text(x(value), bottom + 20, formatNumber(value), "middle")),
    text((left + right) / 2, bottom + 44, across, "middle"),
    ...series.flatMap(({ figures }, index) => {
      const valid = figures.flatMap((figure, at) =>
        figure.median > 0 ? [{ figure, x: x(values[at] as number), y: y(figure.median) }] : [],
      );
      return [
        path(
          valid.map((point) => [point.x, point.y] as const),
          index,
        ),
        ...valid.flatMap((point) => [
          line(point.x, y(point.figure.min), point.x, y(point.figure.max), `range l${index}`),
          dot(point.x, point.y, index),
        ]),
      ];
    }),
  ]);
}
