import { type Figure, plain } from "../figure.ts";
import { dot, legend, line, logScale, logTicks, svg, text } from "./svg.ts";

/** Rows of dots on one logarithmic axis. */
export interface DotChart {
  readonly title: string;
  readonly series: readonly string[];
  readonly rows: readonly {
    readonly name: string;
    /** Printed bold. */
    readonly own: boolean;
    /** One per series; those without a valid round are left out. */
    readonly dots: readonly Figure[];
  }[];
}

const width = 860;
const left = 280;
const right = 830;
const top = 76;
const rowHeight = 24;

/** Each figure as a dot with a line from its least to its most. */
export function dotChart({ title, series, rows }: DotChart): string {
  const figures = rows.flatMap(({ dots }) => dots).filter(({ median }) => median > 0);
  const ticks = logTicks(Math.min(...figures.map(({ least }) => least)), Math.max(...figures.map(({ most }) => most)));
  const x = logScale(ticks, left, right);
  const bottom = top + rows.length * rowHeight;
  return svg(width, bottom + 34, title, [
    ...legend(left, 48, series),
    ...ticks.flatMap((tick) => [
      line(x(tick), top - 8, x(tick), bottom, "grid"),
      text(x(tick), bottom + 18, plain(tick), "middle"),
    ]),
    ...rows.flatMap(({ name, own, dots }, row) => {
      const y = top + (row + 0.5) * rowHeight;
      return [
        text(left - 16, y + 4, name, own ? "end own" : "end"),
        ...dots.flatMap((figure, index) =>
          figure.median > 0
            ? [line(x(figure.least), y, x(figure.most), y, `range l${index}`), dot(x(figure.median), y, index)]
            : [],
        ),
      ];
    }),
  ]);
}
