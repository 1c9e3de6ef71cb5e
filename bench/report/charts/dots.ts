import { type Figure, formatNumber } from "../../measure/figure.ts";
import { dot, legend, line, logScale, logTicks, svg, text } from "./svg.ts";

/** A chart with rows of dots on one logarithmic axis. */
export interface DotChart {
  readonly title: string;
  readonly series: readonly string[];
  readonly rows: readonly {
    readonly name: string;
    /** The name is in bold. */
    readonly own: boolean;
    /** One figure per series; a figure without a valid round is left out. */
    readonly dots: readonly Figure[];
  }[];
}

const width = 860;
const left = 280;
const right = 830;
const top = 76;
const rowHeight = 24;

/** Draws the median of each figure as a dot, with a line from its minimum to its maximum. */
export function dotChart({ title, series, rows }: DotChart): string {
  const figures = rows.flatMap(({ dots }) => dots).filter(({ median }) => median > 0);
  const ticks = logTicks(Math.min(...figures.map(({ min }) => min)), Math.max(...figures.map(({ max }) => max)));
  const x = logScale(ticks, left, right);
  const bottom = top + rows.length * rowHeight;
  return svg(width, bottom + 34, title, [
    ...legend(left, 48, series),
    ...ticks.flatMap((tick) => [
      line(x(tick), top - 8, x(tick), bottom, "grid"),
      text(x(tick), bottom + 18, formatNumber(tick), "middle"),
    ]),
    ...rows.flatMap(({ name, own, dots }, row) => {
      const y = top + (row + 0.5) * rowHeight;
      return [
        text(left - 16, y + 4, name, own ? "end own" : "end"),
        ...dots.flatMap((figure, index) =>
          figure.median > 0
            ? [line(x(figure.min), y, x(figure.max), y, `range l${index}`), dot(x(figure.median), y, index)]
            : [],
        ),
      ];
    }),
  ]);
}
