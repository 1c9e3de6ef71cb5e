/** The life of a server process: start, say so, drain at the first signal, end at the second. */
import type { TidingsOptions } from "../../options.ts";
import type { Listening, ListenOptions } from "../../server.ts";
import type { Context } from "../commands/command.ts";
import { listenToSignals } from "./signals.ts";

/** Runs a server until a signal ends it. Answers 0 when it was drained, 1 when a second signal cut that short. */
export async function runServer(
  { io, deps }: Context,
  options: TidingsOptions,
  at: ListenOptions,
  ready: (address: Listening) => void,
): Promise<number> {
  // From before the start on, so that a signal in the middle of it still closes the store properly.
  const { first, second, forget } = listenToSignals(io, deps.now);
  try {
    const tidings = await deps.createTidings(options);
    let address: Listening;
    try {
      address = await tidings.listen(at);
    } catch (error) {
      await tidings.close();
      throw listenError(error, at);
    }
    ready(address);
    await first;
    options.logger?.info("draining; a second signal ends the process at once");
    return await Promise.race([tidings.close().then(() => 0), second.then(() => 1)]);
  } finally {
    forget();
  }
}

/** The usual reasons in words. */
function listenError(error: unknown, { host, port }: ListenOptions): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case "EADDRINUSE":
      return new Error(`port ${port} on ${host} is in use; choose another with --port, or 0 for any free one`);
    case "EACCES":
      return new Error(`port ${port} on ${host} is not allowed to this user; choose one above 1023 with --port`);
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new Error(`${host} is not an address of this machine; choose another with --host`);
    default:
      return error;
  }
}
