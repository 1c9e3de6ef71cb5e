/** SIGINT and SIGTERM of a server: the first one drains, the second one ends the process at once. */
import type { Io } from "./io.ts";

/** One Ctrl-C under `npm run` arrives twice, from the terminal and from npm; a signal this soon after the first is an echo. */
const echoMs = 200;

/** The signals that a process gets. */
export interface Signals {
  readonly first: Promise<void>;
  readonly second: Promise<void>;
  /** Stops listening. */
  forget(): void;
}

/** Starts to listen. `now` is in ms. */
export function listenToSignals(io: Pick<Io, "onSignal">, now: () => number): Signals {
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let firstAt: number | undefined;
  const forget = io.onSignal(() => {
    firstAt ??= now();
    first.resolve();
    if (now() - firstAt >= echoMs) second.resolve();
  });
  return { first: first.promise, second: second.promise, forget };
}
