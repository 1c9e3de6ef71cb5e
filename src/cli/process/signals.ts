/** What SIGINT and SIGTERM mean to a process that serves: the first drains, the second ends it at once. */
import type { Io } from "./io.ts";

/** One Ctrl-C under `npm run` arrives twice, from the terminal and from npm; a signal so soon after the first is its echo. */
const echoMs = 200;

/** The signals of one process. */
export interface Signals {
  readonly first: Promise<void>;
  readonly second: Promise<void>;
  /** Hears nothing more. */
  forget(): void;
}

/** Listens from now on; `now` in ms. */
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
