/** The size of a run: short in CI, or its full length. */

/** The run has its full length: `npm run test:faults -- --long`. */
export const isLong = process.env.TIDINGS_FAULTS_LONG === "1";

/** The fraction of a long run's faults to inject: `--part 0.1`. */
const part = Number(process.env.TIDINGS_FAULTS_PART ?? 1);

/** Chooses a parameter by the length of the run. */
export function size<T>(short: T, long: T): T {
  return isLong ? long : short;
}

/** Chooses a number of faults by the length of the run; of a partial run, that part of the full number. */
export function times(short: number, long: number): number {
  return isLong ? Math.ceil(long * part) : short;
}
