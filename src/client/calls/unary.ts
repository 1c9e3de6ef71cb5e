/** Makes a call with the token in use, and repeats it once with a fresh token if that one is refused. */
import { aNumber, checkShape, type Shape, withMethods } from "../check.ts";
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

const defaultTimeoutMs = 30_000;

/** The longest timer of browsers and Node, in ms; a longer one would fire at once. */
const maxTimeoutMs = 2_147_483_647;

const optionsShape: Shape<CallOptions> = { signal: withMethods("throwIfAborted"), timeoutMs: aNumber };

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
  const { timeoutMs = defaultTimeoutMs } = options;
  const timeout = AbortSignal.timeout(Math.ceil(Math.min(Math.max(0, timeoutMs), maxTimeoutMs)));
  const signal = AbortSignal.any([context.signal, timeout, ...(options.signal ? [options.signal] : [])]);
  const run = async () => {
    signal.throwIfAborted();
    const token = await unlessAborted(context.tokens.get(), signal);
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
    if (timeout.aborted)
      throw new TidingsError("deadline_exceeded", "the deadline of the call has passed", { cause: thrown });
    if (signal.aborted) throw new TidingsError("canceled", "the call was canceled", { cause: thrown });
    throw errorFromThrown(thrown);
  }
}

/** The promise, or a rejection as soon as the signal is aborted: a token function may never answer. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
