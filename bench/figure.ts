/** One figure of several rounds. Invalid rounds are named, never averaged in. */
export class Figure {
  readonly #values: number[] = [];
  readonly #invalid: string[] = [];

  add(value: number): void {
    this.#values.push(value);
  }

  /** A round that does not count, and why. */
  reject(reason: string): void {
    this.#invalid.push(reason);
  }

  /** What was measured means nothing after all. */
  invalidate(reason: string): void {
    this.#values.length = 0;
    this.#invalid.push(reason);
  }

  /** NaN without a valid round. */
  get median(): number {
    return middle(this.#values);
  }

  get least(): number {
    return Math.min(...this.#values);
  }

  get most(): number {
    return Math.max(...this.#values);
  }

  /** `median (least to most)`, and how many rounds were invalid. */
  text(format: (value: number) => string): string {
    const [reason] = this.#invalid;
    if (this.#values.length === 0) return reason === undefined ? "not measured" : `invalid: ${reason}`;
    const range = this.#values.length > 1 ? ` (${format(this.least)} to ${format(this.most)})` : "";
    const rounds = this.#values.length + this.#invalid.length;
    const bad = reason === undefined ? "" : `; ${this.#invalid.length} of ${rounds} invalid: ${reason}`;
    return `${format(this.median)}${range}${bad}`;
  }
}

function middle(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  if (sorted.length % 2 === 1) return sorted[half] as number;
  return ((sorted[half - 1] ?? Number.NaN) + (sorted[half] ?? Number.NaN)) / 2;
}

/** Three significant digits below 100, then whole numbers with separators. */
export function plain(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return Number(value.toPrecision(3)).toString();
}
