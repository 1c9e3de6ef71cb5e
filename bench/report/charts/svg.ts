/** Elements of the charts, in plain SVG that follows the reader's light or dark colour scheme. */

/** Colours of series, distinct in both schemes and for most colour-blind readers. */
const light = ["#0969da", "#bc4c00", "#1a7f37", "#8250df"];
const dark = ["#58a6ff", "#f0883e", "#3fb950", "#bc8cff"];

/** A complete SVG document. */
export function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeXml(title)}">`,
    `<style>${style()}</style>`,
    text(12, 22, title, "title"),
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function style(): string {
  const colours = (list: readonly string[]) =>
    list.map((colour, index) => `.s${index}{fill:${colour}}.l${index}{stroke:${colour}}`).join("");
  return [
    "text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-size:14px;font-weight:600}.own{font-weight:600}",
    ".end{text-anchor:end}.middle{text-anchor:middle}.grid{stroke:#d1d9e0}.line{fill:none;stroke-width:2}.range{stroke-width:2}",
    colours(light),
    `@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}${colours(dark)}}`,
  ].join("");
}

/** A text element; `classes` are those of the style above. */
export function text(x: number, y: number, value: string, classes = ""): string {
  return `<text x="${round(x)}" y="${round(y)}" class="${classes}">${escapeXml(value)}</text>`;
}

/** A line element. */
export function line(x1: number, y1: number, x2: number, y2: number, classes: string): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" class="${classes}"/>`;
}

/** A dot in the colour of a series. */
export function dot(x: number, y: number, series: number): string {
  return `<circle cx="${round(x)}" cy="${round(y)}" r="4.5" class="s${series}"/>`;
}

/** A polyline in the colour of a series. */
export function path(points: readonly (readonly [number, number])[], series: number): string {
  const d = points.map(([x, y], index) => `${index === 0 ? "M" : "L"}${round(x)} ${round(y)}`).join("");
  return `<path d="${d}" class="line l${series}"/>`;
}

/** A row with the name of each series next to its colour. */
export function legend(x: number, y: number, names: readonly string[]): string[] {
  let at = x;
  return names.flatMap((name, index) => {
    const parts = [dot(at, y - 4, index), text(at + 10, y, name)];
    at += 30 + name.length * 6.5;
    return parts;
  });
}

/** The ticks 1, 2 and 5 of each decade that enclose the range from `least` to `most`. */
export function logTicks(least: number, most: number): number[] {
  const ticks: number[] = [];
  for (let decade = Math.floor(Math.log10(least)); decade <= Math.ceil(Math.log10(most)); decade++) {
    for (const step of [1, 2, 5]) ticks.push(step * 10 ** decade);
  }
  const first = ticks.findLastIndex((tick) => tick <= least * 1.0001);
  const last = ticks.findIndex((tick) => tick >= most * 0.9999);
  return ticks.slice(Math.max(0, first), last + 1);
}

/** Maps a value to its coordinate on a logarithmic axis from `from` to `to`. */
export function logScale(ticks: readonly number[], from: number, to: number): (value: number) => number {
  const [least, most] = [Math.log10(ticks[0] as number), Math.log10(ticks.at(-1) as number)];
  return (value) => from + ((Math.log10(value) - least) / (most - least || 1)) * (to - from);
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escapeXml(value: string): string {
  return value.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");
}
