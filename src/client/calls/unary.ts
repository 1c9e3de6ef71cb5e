/** One call with the token in use, and once more with a fresh one if that is refused. */

import type { Tokens } from "../connection/tokens.ts";
import { TidingsError } from "../tidings-error.ts";
import { errorFromThrown } from "./wire-error.ts";

/** Options of one call. */
export interface CallOptions {
  /** Gives the call up when aborted. */
  readonly signal?: AbortSignal;
  /** How long the call may take, in ms. Default 30,000. */
  readonly timeoutMs?: number;
}

/** What calls share with the stream. */
export interface CallContext {
  readonly tokens: Tokens;
  /** Aborted when the client is closed. */
  readonly signal: AbortSignal;
}

const defaultTimeoutMs = 30_000;

/** Makes a call; whatever goes wrong is thrown as a TidingsError. */
export async function callWithToken<T>(
  context: CallContext,
  options: CallOptions,
  attempt: (token: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = AbortSignal.timeout(options.timeoutMs ?? defaultTimeoutMs);
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
    if (timeout.aborted) throw new TidingsError("deadline_exceeded", "the call took too long", { cause: thrown });
    if (signal.aborted) throw new TidingsError("canceled", "the call was given up", { cause: thrown });
    throw errorFromThrown(thrown);
  }
}

/** A token function may never answer. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
