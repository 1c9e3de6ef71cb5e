/**
 * `; did you mean …?` with the known name that is closest to a misspelled one, or an empty string when none is close. The
 * distance counts characters that are inserted, missing or wrong, and swapped neighbours; case is ignored.
 */
export function suggestion(name: string, known: Iterable<string>): string {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const errors = distance(name.toLowerCase(), candidate.toLowerCase());
    if (errors < least) {
      best = candidate;
      least = errors;
    }
  }
  return best === undefined ? "" : `; did you mean ${best}?`;
}

/** The optimal string alignment distance: Levenshtein's distance with swaps of neighbours. */
function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const wrong = a[i - 1] === b[j - 1] ? 0 : 1;
      let errors = Math.min(at(row, j - 1) + 1, at(last, j) + 1, at(last, j - 1) + wrong);
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) errors = Math.min(errors, at(beforeLast, j - 2) + 1);
      row.push(errors);
    }
    beforeLast = last;
    last = row;
  }
  return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
