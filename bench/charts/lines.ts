import { type Figure, plain } from "../figure.ts";
import { dot, legend, line, logScale, logTicks, path, svg, text } from "./svg.ts";

/** Lines over a logarithmic axis. */
export interface LineChart {
  readonly title: string;
  /** What the horizontal axis counts. */
  readonly across: string;
  /** Rising, each above 0. */
  readonly values: readonly number[];
  readonly series: readonly {
    readonly name: string;
    /** One per value; those without a valid round are left out. */
    readonly figures: readonly Figure[];
  }[];
}

const width = 720;
const height = 380;
const left = 70;
const right = 700;
const top = 76;
const bottom = 320;

/** Both axes are logarithmic. */
export function lineChart({ title, across, values, series }: LineChart): string {
  const all = series.flatMap(({ figures }) => figures).filter(({ median }) => median > 0);
  const rows = logTicks(Math.min(...all.map(({ least }) => least)), Math.max(...all.map(({ most }) => most)));
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
      text(left - 8, y(tick) + 4, plain(tick), "end"),
    ]),
    ...values.map((value) => text(x(value), bottom + 20, plain(value), "middle")),
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
          line(point.x, y(point.figure.least), point.x, y(point.figure.most), `range l${index}`),
          dot(point.x, point.y, index),
        ]),
      ];
    }),
  ]);
}
