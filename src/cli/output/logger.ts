import { destination, type Logger, pino } from "pino";

/** Creates a logger that writes JSON to stderr, from `level` on. Each line passes through `redact`. */
export function createLogger(level: string, redact: (line: string) => string = (line) => line): Logger {
  return pino({ level, hooks: { streamWrite: redact } }, destination(2));
}
