/** Returns an option that is a number. Throws a RangeError with its name if it is below the least value. */
export function atLeast(name: string, value: number, least: number): number {
  if (!Number.isFinite(value) || value < least) throw new RangeError(`${name}: must be a number of at least ${least}`);
  return value;
}
