/** Errors as callers see them: the same for Protobuf and JSON, for streams and calls. */

/** Connect's codes by their number, 1 to 16. Source: https://connectrpc.com/docs/protocol#error-codes */
const codes = [
  "canceled",
  "unknown",
  "invalid_argument",
  "deadline_exceeded",
  "not_found",
  "already_exists",
  "permission_denied",
  "resource_exhausted",
  "failed_precondition",
  "aborted",
  "out_of_range",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
  "unauthenticated",
] as const;

/** The code of an error. */
export type ErrorCode = (typeof codes)[number];

/** The code with this number, if there is one. */
export function codeOfNumber(number: number): ErrorCode | undefined {
  return codes[number - 1];
}

/** The code of this name, if there is one. */
export function codeOfName(name: unknown): ErrorCode | undefined {
  return codes.find((code) => code === name);
}

/** What an error may carry besides its code and sentence. */
export interface ErrorExtras {
  readonly reason?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** What went wrong: on the server, on the way, or in the token function. */
export class TidingsError extends Error {
  /** What kind of error. */
  readonly code: ErrorCode;
  /** The server's reason, such as `TOKEN_EXPIRED`; `undefined` for errors that did not come from a Tidings server. */
  readonly reason: string | undefined;
  /** When a repetition makes sense, in ms. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.name = "TidingsError";
    this.code = code;
    this.reason = extras.reason;
    this.retryAfterMs = extras.retryAfterMs;
  }
}

/** Codes of a subscription that no repetition can heal. */
const terminal: ReadonlySet<ErrorCode> = new Set([
  "permission_denied",
  "invalid_argument",
  "unimplemented",
  "not_found",
]);

/**
 * Whether a subscription that ended so will end so again. Only a Tidings server can say that, and it names a reason: from a
 * Connect library, `invalid_argument` is also what a stream looks like that was cut within a message, and `unimplemented`
 * the 404 of a proxy during a deployment.
 */
export function isTerminal(error: TidingsError): boolean {
  return error.reason !== undefined && terminal.has(error.code);
}

/** Whether the server refused the positions rather than the subscription. */
export function refusesPositions(error: TidingsError): boolean {
  return error.reason === "POSITION_IN_FUTURE" || error.reason === "POSITION_INVALID";
}

/** The sentence of whatever was thrown. Not String(thrown), which throws for some objects. */
export function sentenceOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  return typeof thrown === "string" ? thrown : "no reason was given";
}
