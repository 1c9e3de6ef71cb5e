/** Errors in callbacks of timers, sockets and buses, which would end the process if nothing caught them. */
import { type Clock, elapsedOn } from "../ports/clock.ts";

/** Reports an error that no caller can receive: a bug in the callback. Never throws. */
export type Report = (error: unknown) => void;

/** Reports an error as a warning of the process, for code without a logger. */
export const warn: Report = (error) => {
  process.emitWarning(error instanceof Error ? error : String(error));
};

/** Makes a call. Its error, also that of a promise that it returns, is reported and goes no further. */
export function guard(report: Report, call: () => unknown): void {
  try {
    const result = call();
    if (result instanceof Promise) result.catch(report);
  } catch (error) {
    report(error);
  }
}

/** Returns a clock whose timers report the errors of their calls, which would otherwise end the process. */
export function guardedClock(clock: Clock, report: Report): Clock {
  return {
    now: () => clock.now(),
    elapsed: () => elapsedOn(clock),
    after: (milliseconds, call) => clock.after(milliseconds, () => guard(report, call)),
  };
}
