/** The values of one figure, one for each round. An invalid round adds a reason instead of a value. */
export class Figure {
  readonly #values: number[] = [];
  readonly #invalid: string[] = [];

  /** Adds the value of a valid round. */
  add(value: number): void {
    this.#values.push(value);
  }

  /** Adds an invalid round, with the reason. */
  reject(reason: string): void {
    this.#invalid.push(reason);
  }

  /** Discards all values, because the reason makes all rounds invalid. */
  invalidate(reason: string): void {
    this.#values.length = 0;
    this.#invalid.push(reason);
  }

  /** The median of the values; NaN when there are none. */
  get median(): number {
    return medianOf(this.#values);
  }

  /** The smallest value; Infinity when there are none. */
  get min(): number {
    return Math.min(...this.#values);
  }

  /** The largest value; -Infinity when there are none. */
  get max(): number {
    return Math.max(...this.#values);
  }

  /** `median (min to max)`, followed by the number of invalid rounds and the reason of the first one. */
  text(format: (value: number) => string): string {
    const [reason] = this.#invalid;
    if (this.#values.length === 0) return reason === undefined ? "not measured" : `invalid: ${reason}`;
    const range = this.#values.length > 1 ? ` (${format(this.min)} to ${format(this.max)})` : "";
    const rounds = this.#values.length + this.#invalid.length;
    const invalid = reason === undefined ? "" : `; ${this.#invalid.length} of ${rounds} invalid: ${reason}`;
    return `${format(this.median)}${range}${invalid}`;
  }
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  if (sorted.length % 2 === 1) return sorted[half] as number;
  return ((sorted[half - 1] ?? Number.NaN) + (sorted[half] ?? Number.NaN)) / 2;
}

/** Formats a number with three significant digits below 100, and as a whole number with separators above. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return Number(value.toPrecision(3)).toString();
}

/** A number of connections, as tables and charts write it. */
export function connectionsText(connections: number): string {
  return connections === 1 ? "1 connection" : `${connections} connections`;
}
