/** The life of a server process: start, report ready, drain at the first signal, end at the second. */
import type { Logger } from "pino";
import type { TidingsOptions } from "../../options.ts";
import type { Listening, ListenOptions, ReloadOptions, Tidings } from "../../server.ts";
import type { Context } from "../command.ts";
import { listenToSignals } from "./signals.ts";

/**
 * Runs a server until a signal ends it. Returns 0 after a complete drain, 1 when a second signal cut the drain short. When
 * the store has failed for good, it drains and throws the reason, so that a supervisor starts the process again. On SIGHUP
 * it replaces what `reread` returns; where that fails, the log says why, and everything stays as it is.
 */
export async function runServer(
  { io, deps }: Context,
  options: TidingsOptions,
  at: ListenOptions,
  ready: (address: Listening) => void,
  reread?: () => ReloadOptions,
): Promise<number> {
  // Listen before the start: a signal during it must still close the store.
  const { first, second, forget } = listenToSignals(io, deps.now);
  let forgetReload = () => {};
  try {
    const tidings = await deps.createTidings(options);
    let address: Listening;
    try {
      address = await tidings.listen(at);
    } catch (error) {
      await tidings.close();
      throw listenError(error, at);
    }
    if (reread) forgetReload = io.onReload(() => reload(tidings, reread, options.logger));
    ready(address);
    const failure = await Promise.race([first, tidings.failed]);
    if (!failure) options.logger?.info("draining; a second signal ends the process at once");
    const code = await Promise.race([tidings.close().then(() => 0), second.then(() => 1)]);
    if (failure) throw failure;
    return code;
  } finally {
    forget();
    forgetReload();
  }
}

function reload(tidings: Pick<Tidings, "reload">, reread: () => ReloadOptions, logger: Logger | undefined): void {
  try {
    tidings.reload(reread());
    logger?.info("secrets and certificates were read again");
  } catch (error) {
    logger?.error({ err: error }, "secrets and certificates stay as they were: the files cannot be used");
  }
}

/** Explains the usual errors of listen(2); returns every other error as it is. */
export function listenError(error: unknown, { host, port, socket }: ListenOptions): unknown {
  if (socket) {
    const name = "path" in socket ? `the unix socket ${socket.path}` : "the socket of systemd";
    return new Error(`cannot listen on ${name}: ${(error as Error).message}`, { cause: error });
  }
  switch ((error as NodeJS.ErrnoException).code) {
    case "EADDRINUSE":
      return new Error(`port ${port} on ${host} is in use; choose another with --port, or 0 for any free port`);
    case "EACCES":
      return new Error(`this user may not listen on port ${port} of ${host}; choose one above 1023 with --port`);
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new Error(`${host} is not an address of this machine; choose another with --host`);
    default:
      return error;
  }
}
