/** Repeats a call until it succeeds, its error is final, or its deadline leaves no time for another attempt. */
import type { Clock, Random } from "../../ports/clock.ts";
import { checkShape } from "../check.ts";
import { heldMs } from "../connection/backoff.ts";
import type { TidingsError } from "../tidings-error.ts";
import { type CallOptions, defaultTimeoutMs, optionsShape } from "./unary.ts";
import { errorFromThrown } from "./wire-error.ts";

/** The dependencies of retried calls. */
export interface RetryContext {
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  /** Aborted when the client is closed. */
  readonly signal: AbortSignal;
}

/**
 * Makes attempts with the time that is left of `timeoutMs`, until one returns a result. Between two of them it waits as long
 * as the server asks, and at least for the back-off of a connection. Throws the error of the last attempt.
 */
export async function withRetries<T>(
  { clock, random, signal }: RetryContext,
  options: CallOptions,
  attempt: (options: CallOptions) => Promise<T>,
): Promise<T> {
  checkShape("options", options, optionsShape);
  const { timeoutMs = defaultTimeoutMs } = options;
  const startedAt = clock.now();
  const leftMs = () => timeoutMs - (clock.now() - startedAt);
  for (let failures = 0; ; failures++) {
    try {
      return await attempt(failures === 0 ? options : { ...options, timeoutMs: leftMs() });
    } catch (thrown) {
      // A TypeError names a wrong argument.
      if (thrown instanceof TypeError) throw thrown;
      const error = errorFromThrown(thrown);
      const delayMs = heldMs(error.retryAfterMs ?? 0, failures, random.fraction());
      if (!isTransient(error) || delayMs >= leftMs()) throw error;
      if (!(await wait(clock, delayMs, [signal, options.signal]))) throw error;
    }
  }
}

/**
 * Whether the same publish may succeed later. A quota makes room in days, so waiting for it would only use up the deadline.
 */
export function isTransient({ code, reason, retryAfterMs }: TidingsError): boolean {
  if (reason === "QUOTA_EXCEEDED") return false;
  // The errors of a batch's items have no delay.
  if (retryAfterMs !== undefined || reason === "RATE_LIMITED" || reason === "TOO_MUCH_IN_FLIGHT") return true;
  // HTTP/2 cancels the calls of a connection that is cut. A call that its caller canceled does not wait, so it ends.
  return ["unavailable", "deadline_exceeded", "aborted", "canceled"].includes(code);
}

/** Waits; false as soon as one of the signals is aborted. */
function wait(clock: Clock, milliseconds: number, signals: readonly (AbortSignal | undefined)[]): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (elapsed: boolean) => {
      timer.cancel();
      for (const signal of signals) signal?.removeEventListener("abort", stop);
      resolve(elapsed);
    };
    const stop = () => finish(false);
    const timer = clock.after(milliseconds, () => finish(true));
    for (const signal of signals) signal?.addEventListener("abort", stop);
    if (signals.some((signal) => signal?.aborted)) stop();
  });
}
