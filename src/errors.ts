/**
 * The errors of Tidings: one table of their reasons, with the code and whether a retry can help. Clients read the code
 * and the reason, never the sentence.
 */
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";

/** The `domain` of every google.rpc.ErrorInfo of Tidings. */
export const errorDomain = "tidings";

/** The error table, by reason. `retry`: whether the same request may succeed later. */
export const errorTable = {
  FIELD_INVALID: { code: Code.InvalidArgument, retry: false },
  BODY_INVALID: { code: Code.InvalidArgument, retry: false },
  PAGE_TOKEN_INVALID: { code: Code.InvalidArgument, retry: false },
  POSITION_INVALID: { code: Code.InvalidArgument, retry: false },
  POSITION_IN_FUTURE: { code: Code.InvalidArgument, retry: false },
  POSITION_GONE: { code: Code.OutOfRange, retry: false },
  TENANT_REQUIRED: { code: Code.InvalidArgument, retry: false },
  TOKEN_MISSING: { code: Code.Unauthenticated, retry: false },
  TOKEN_INVALID: { code: Code.Unauthenticated, retry: false },
  TOKEN_EXPIRED: { code: Code.Unauthenticated, retry: false },
  ROLE_FORBIDDEN: { code: Code.PermissionDenied, retry: false },
  TENANT_FORBIDDEN: { code: Code.PermissionDenied, retry: false },
  AUDIENCE_FORBIDDEN: { code: Code.PermissionDenied, retry: false },
  CATEGORY_RESERVED: { code: Code.PermissionDenied, retry: false },
  ROOM_FORBIDDEN: { code: Code.PermissionDenied, retry: false },
  CALLER_BLOCKED: { code: Code.PermissionDenied, retry: false },
  DISCONNECTED: { code: Code.PermissionDenied, retry: false },
  SERVICE_UNKNOWN: { code: Code.NotFound, retry: false },
  ROOM_TAKEN: { code: Code.AlreadyExists, retry: true },
  REQUEST_ID_REUSED: { code: Code.AlreadyExists, retry: false },
  MESSAGE_TOO_LARGE: { code: Code.ResourceExhausted, retry: false },
  REQUEST_TOO_LARGE: { code: Code.ResourceExhausted, retry: false },
  READER_TOO_SLOW: { code: Code.ResourceExhausted, retry: true },
  TOO_MANY_STREAMS: { code: Code.ResourceExhausted, retry: true },
  TOO_MANY_NEW_STREAMS: { code: Code.ResourceExhausted, retry: true },
  QUOTA_EXCEEDED: { code: Code.ResourceExhausted, retry: true },
  RATE_LIMITED: { code: Code.ResourceExhausted, retry: true },
  TOO_MUCH_IN_FLIGHT: { code: Code.ResourceExhausted, retry: true },
  TOO_MANY_ROOMS: { code: Code.ResourceExhausted, retry: false },
  TOO_MANY_BLOCKS: { code: Code.ResourceExhausted, retry: false },
  OVERLOADED: { code: Code.Unavailable, retry: true },
  SERVER_DRAINING: { code: Code.Unavailable, retry: true },
  STORE_UNAVAILABLE: { code: Code.Unavailable, retry: true },
  KEYS_UNAVAILABLE: { code: Code.Unavailable, retry: true },
  AUTHORIZE_UNAVAILABLE: { code: Code.Unavailable, retry: true },
  ROOMS_UNAVAILABLE: { code: Code.Unavailable, retry: true },
  CONFLICT: { code: Code.Aborted, retry: true },
  DEADLINE_EXCEEDED: { code: Code.DeadlineExceeded, retry: true },
  STREAM_CLOSED: { code: Code.Canceled, retry: true },
  PROTOCOL_UNSUPPORTED: { code: Code.Unimplemented, retry: false },
  INTERNAL: { code: Code.Internal, retry: false },
} as const satisfies Record<string, { code: Code; retry: boolean }>;

/** A reason of the error table. */
export type Reason = keyof typeof errorTable;

/** An invalid field of a request. */
export interface FieldViolation {
  /** The path of the field, such as `message.url`. */
  readonly field: string;
  /** One English sentence that says what to do, without the name of the field. */
  readonly description: string;
}

/** What an error may have besides its reason and sentence. */
export interface Failure {
  /** The path of the invalid field, such as `message.url`; repeated in BadRequest and in ErrorInfo. */
  readonly field?: string;
  /** Further invalid fields, for BadRequest; only together with `field`. */
  readonly violations?: readonly FieldViolation[];
  /** The variable parts of the sentence, for programs. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The delay before a retry, in ms. */
  readonly retryAfterMs?: number;
  /** The underlying error; logged, never sent. */
  readonly cause?: unknown;
}

type Detail = { desc: DescMessage; value: MessageInitShape<DescMessage> };

/**
 * Creates an error of the table. The sentence is English and says what to do. With `failure.field`, the message of the
 * error is the field, a colon and the sentence.
 */
export function fail(reason: Reason, sentence: string, failure: Failure = {}): ConnectError {
  const { field, retryAfterMs } = failure;
  const metadata = { ...failure.metadata, ...(field === undefined ? {} : { field }) };
  const details: Detail[] = [{ desc: ErrorInfoSchema, value: { reason, domain: errorDomain, metadata } }];
  if (field !== undefined) {
    const all = [{ field, description: sentence }, ...(failure.violations ?? [])];
    const fieldViolations = all.map((violation) => ({ ...violation, reason }));
    details.push({ desc: BadRequestSchema, value: { fieldViolations } });
  }
  if (retryAfterMs !== undefined) {
    const seconds = Math.floor(retryAfterMs / 1000);
    const nanos = Math.round((retryAfterMs - seconds * 1000) * 1e6);
    details.push({ desc: RetryInfoSchema, value: { retryDelay: { seconds: BigInt(seconds), nanos } } });
  }
  const text = field === undefined ? sentence : `${field}: ${sentence}`;
  return new ConnectError(text, errorTable[reason].code, undefined, details, failure.cause);
}

/**
 * Returns the reason of an error of the table, or `undefined` for any other error, such as one of another service that an
 * adapter passes on.
 */
export function reasonOf(error: ConnectError): Reason | undefined {
  for (const detail of error.details) {
    if (!("desc" in detail) || detail.desc.typeName !== ErrorInfoSchema.typeName) continue;
    const { reason, domain } = detail.value as { reason: Reason; domain?: string };
    if (domain === errorDomain) return reason;
  }
  return undefined;
}

/** Returns the delay before a retry, in ms, or `undefined` for an error without one. */
export function retryAfterOf(error: ConnectError): number | undefined {
  for (const detail of error.details) {
    if (!("desc" in detail) || detail.desc.typeName !== RetryInfoSchema.typeName) continue;
    const { seconds = 0n, nanos = 0 } = (detail.value as MessageInitShape<typeof RetryInfoSchema>).retryDelay ?? {};
    return Number(seconds) * 1000 + nanos / 1e6;
  }
  return undefined;
}

/** Returns the name of a code as Connect writes it: `invalid_argument` for InvalidArgument. */
export function codeName(code: Code): string {
  return (Code[code] ?? "").replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
}

/** Returns the close code of the WebSocket bridge for an error: 4000 plus the number of its code, 4001 to 4016. */
export function webSocketCloseCode(error: ConnectError): number {
  return 4000 + error.code;
}
