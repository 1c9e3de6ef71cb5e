/** The errors of the client, the same for Protobuf and JSON, for streams and calls. */

/** The codes of the Connect protocol by number, 1 to 16. Source: https://connectrpc.com/docs/protocol#error-codes */
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

/** The code with this number; undefined if there is none. */
export function codeOfNumber(number: number): ErrorCode | undefined {
  return codes[number - 1];
}

/** The code with this name; undefined if there is none. */
export function codeOfName(name: unknown): ErrorCode | undefined {
  return codes.find((code) => code === name);
}

/** The optional fields of a TidingsError. */
export interface ErrorExtras {
  readonly reason?: string | undefined;
  readonly field?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** An error of the server, of the connection, or of the application's token function, storage or listeners. */
export class TidingsError extends Error {
  /** The Connect code. */
  declare readonly code: ErrorCode;
  /** The server's reason, such as `TOKEN_EXPIRED`; undefined if the error did not come from a Tidings server. */
  declare readonly reason: string | undefined;
  /** The path of the invalid field, such as `message.url`; undefined if no field is at fault. */
  declare readonly field: string | undefined;
  /** The delay after which the server suggests a retry, in ms; undefined if it suggests none. */
  declare readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, extras);
    // Keeps `cause` as super() has defined it, hidden from enumeration.
    Object.assign(this, extras, { name: "TidingsError", code });
  }
}

/** The error for what a part of the client, or of the application, has thrown. */
export function failure(code: ErrorCode, part: string, cause: unknown): TidingsError {
  return new TidingsError(code, `${part}: ${sentenceOf(cause)}`, { cause });
}

/** The codes with which a subscription fails again however often it is retried. */
const terminal: readonly ErrorCode[] = ["permission_denied", "invalid_argument", "unimplemented", "not_found"];

/**
 * Whether a retry of the subscription would end with the same error. Only an error with a reason, so one of a Tidings
 * server, is terminal: the Connect libraries also report `invalid_argument` for a stream that was cut within a message,
 * and `unimplemented` for a 404 of a proxy during a deployment.
 */
export function isTerminal(error: TidingsError): boolean {
  return error.reason !== undefined && terminal.includes(error.code);
}

/** Whether the server refused the positions of the request rather than the subscription. */
export function refusesPositions(error: TidingsError): boolean {
  // POSITION_IN_FUTURE and POSITION_INVALID, in fewer bytes of a page.
  return /^POSITION_I/.test(`${error.reason}`);
}

/** The message of any thrown value. Not String(thrown), which throws for some objects. */
export function sentenceOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  return typeof thrown === "string" ? thrown : "no reason was given";
}
