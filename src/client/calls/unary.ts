/** Makes a call with the token in use, and repeats it once with a fresh token if that one is refused. */
import { aNumber, checkShape, type Shape, withMethods } from "../check.ts";
import { foregroundClock } from "../connection/foreground-clock.ts";
import type { Tokens } from "../connection/tokens.ts";
import { TidingsError } from "../tidings-error.ts";
import { errorFromThrown } from "./wire-error.ts";

/** The options of one call. */
export interface CallOptions {
  /** Cancels the call when aborted. */
  readonly signal?: AbortSignal;
  /** The longest time that the call may take, in ms; more than 24 days count as 24 days. Default 30,000. */
  readonly timeoutMs?: number;
}

/** The state that calls share with the stream. */
export interface CallContext {
  readonly tokens: Tokens;
  /** Aborted when the client is closed. */
  readonly signal: AbortSignal;
}

/** The deadline of a call without another one, in ms. */
export const defaultTimeoutMs = 30_000;

/** The types of the options of a call. */
export const optionsShape: Shape<CallOptions> = { signal: withMethods("throwIfAborted"), timeoutMs: aNumber };

/**
 * Makes a call. Every failure of the call is thrown as a TidingsError; a wrong option is thrown as a TypeError that
 * names it.
 */
export async function callWithToken<T>(
  context: CallContext,
  options: CallOptions,
  attempt: (token: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  checkShape("options", options, optionsShape);
  // Not AbortSignal.any and AbortSignal.timeout, which the oldest browsers do not have.
  const controller = new AbortController();
  const { signal } = controller;
  const cancel = () => controller.abort(new TidingsError("canceled", "the call was canceled"));
  for (const source of [context.signal, options.signal]) {
    if (source?.aborted) cancel();
    source?.addEventListener("abort", cancel, { signal });
  }
  const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const timer = foregroundClock.after(options.timeoutMs ?? defaultTimeoutMs, () =>
    controller.abort(new TidingsError("deadline_exceeded", "the deadline of the call has passed")),
  );
  const run = async () => {
    signal.throwIfAborted();
    // A token function may never answer.
    const token = await Promise.race([context.tokens.get(), aborted]);
    try {
      return await attempt(token, signal);
    } catch (thrown) {
      const error = errorFromThrown(thrown);
      if (error.code === "unauthenticated") context.tokens.refuse(token);
      throw error;
    }
  };
  try {
    return await run().catch((thrown: unknown) => {
      if (errorFromThrown(thrown).code === "unauthenticated") return run();
      throw thrown;
    });
  } catch (thrown) {
    throw signal.aborted ? signal.reason : errorFromThrown(thrown);
  } finally {
    timer.cancel();
    // Removes the listeners.
    controller.abort();
  }
}
