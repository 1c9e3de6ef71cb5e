import { create, type DescMessage } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { Logger } from "pino";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { type Identity, isUser, type Role } from "../auth/identity.ts";
import { bearerToken } from "../auth/verify-token.ts";
import type { RequestJson } from "../contract/request-json.ts";
import type { Core } from "../core/core.ts";
import { codeName, errorDomain, fail, type Reason, reasonOf } from "../errors.ts";
import { connectionKey, isDisconnect } from "../http/adapter.ts";
import { rpcSystem, serverFault, type Transport } from "../metrics/counters.ts";
import { guard } from "../util/guard.ts";
import { tenantKey } from "../util/keys.ts";
import { identityKey, spanKey } from "./context.ts";
import { keepMessageLegible } from "./grpc-message.ts";

const everyRole: readonly Role[] = ["user", "service", "admin"];
const publishers: readonly Role[] = ["service", "admin"];

/** The roles that may call each method. A method that is not listed is closed to all. */
export const allowedRoles: Readonly<Record<string, readonly Role[]>> = {
  "tidings.v1.PushService/Publish": everyRole,
  "tidings.v1.PushService/PublishBatch": publishers,
  "tidings.v1.PushService/Subscribe": everyRole,
  "tidings.v1.PushService/ListUnread": ["user"],
  "tidings.v1.PushService/ListMessages": everyRole,
  "tidings.v1.PushService/MarkRead": ["user"],
  "tidings.v1.PushService/DeleteMessages": everyRole,
  "tidings.v1.PushService/OnlineCount": everyRole,
  "tidings.v1.AdminService/Disconnect": publishers,
};

/** Methods with rate limits of their own, so that those of other calls do not count them. */
const separatelyLimited: ReadonlySet<string> = new Set([
  "tidings.v1.PushService/Publish",
  "tidings.v1.PushService/Subscribe",
]);

/** Identifies a call in the logs. The caller may choose the id, of these characters; otherwise it is a fresh one. */
const requestIdHeader = "x-request-id";
const requestIdPattern = /^[\w.:-]{1,64}$/;

/**
 * Creates the gate that every call passes: it authenticates the caller, checks the role, and records the call when it
 * ends. It runs after the headers have arrived and before the body is read, decompressed or parsed. `texts` has the JSON of
 * requests by method, to find the field at fault.
 */
export function createGate(
  { context: streamContext, authenticate, admit }: Core,
  logger: Logger | undefined,
  texts: ReadonlyMap<string, Pick<RequestJson<DescMessage>, "violation">> = new Map(),
): (context: HandlerContext) => Promise<void> {
  return async (context) => {
    const method = `${context.service.typeName}/${context.method.name}`;
    const given = context.requestHeader.get(requestIdHeader) ?? "";
    const requestId = requestIdPattern.test(given) ? given : streamContext.newId();
    context.responseHeader.set(requestIdHeader, requestId);
    const log = logger?.child({ requestId, method });
    const start = performance.now();
    const startTime = Date.now();
    const end = () => {
      const error = finish(context.signal.reason, start, log, texts.get(method));
      keepMessageLegible(context.responseTrailer);
      const seconds = (performance.now() - start) / 1000;
      streamContext.counters.called({ method, transport: transportOf(context), seconds, error });
      context.values.get(spanKey)?.end(error ? { "error.type": codeName(error.code) } : {}, serverFault(error));
    };
    // An error in a listener of an AbortSignal would end the process.
    context.signal.addEventListener("abort", () =>
      guard((error) => log?.error({ err: error }, "a callback failed"), end),
    );
    const token = bearerToken(context.requestHeader.get("authorization"));
    const isUnary = context.method.methodKind === "unary";
    const identity = await (isUnary ? authenticate(token) : admit(token, context.values.get(connectionKey)?.address()));
    const roles = allowedRoles[method] ?? [];
    if (!roles.includes(identity.role)) {
      throw fail("ROLE_FORBIDDEN", `the role ${identity.role} may not call ${context.method.name}`, {
        metadata: { role: identity.role },
      });
    }
    if (!separatelyLimited.has(method)) streamContext.limits.call(identity);
    if (context.requestMethod === "GET") checkBase64(context.url);
    context.values.set(identityKey, identity);
    const connection = context.values.get(connectionKey);
    if (connection && isUser(identity)) connection.user = tenantKey(identity.tenant, identity.subject);
    const room = connection?.enter(context.signal);
    if (room) {
      await room;
      context.signal.throwIfAborted();
    }
    // No span for a stream: it would be open for hours, and the messages that it delivers have spans of their own.
    if (context.method.methodKind === "unary") {
      const attributes = { "rpc.method": method, "rpc.system.name": rpcSystem(transportOf(context)) };
      const parent = parentOf(identity, context);
      context.values.set(
        spanKey,
        streamContext.tracer.start({ name: method, kind: "server", parent, attributes, startTime }),
      );
    }
  };
}

/** Connect raises base64 that is none, in the query of a GET, as a mistake of the server. */
function checkBase64(url: string): void {
  const query = new URL(url).searchParams;
  if (query.get("base64") !== "1") return;
  try {
    base64Decode(query.get("message") ?? "");
  } catch {
    throw fail("BODY_INVALID", "must be base64 in a query with base64=1", { field: "message" });
  }
}

/** The transport of a call, for metrics. */
export function transportOf({ protocolName }: HandlerContext): Transport {
  return protocolName === "grpc" || protocolName === "grpc-web" ? protocolName : "connect";
}

/** The parent span of a call. A user's is ignored, since users could otherwise decide which calls are recorded. */
function parentOf({ role }: Identity, { requestHeader }: HandlerContext): string | undefined {
  return role === "user" ? undefined : (requestHeader.get("traceparent") ?? undefined);
}

/**
 * Ends a call of any protocol. A Connect handler aborts its signal with the error just before it writes the error, so
 * that details can still be added here. An unexpected error is logged, once, and not sent. Returns the error that the
 * caller gets, or `undefined` for a call that did not fail.
 */
function finish(
  reason: unknown,
  start: number,
  log: Logger | undefined,
  text: Pick<RequestJson<DescMessage>, "violation"> | undefined,
): ConnectError | undefined {
  const milliseconds = Math.round(performance.now() - start);
  const unexpected = reason instanceof Error && reason.name !== "AbortError" && !isDisconnect(reason);
  if (!(reason instanceof ConnectError)) {
    if (unexpected) log?.error({ err: reason, milliseconds }, "call failed");
    else log?.debug({ milliseconds }, "call ended");
    if (unexpected) return new ConnectError("", Code.Internal);
    return isDisconnect(reason) ? new ConnectError("", Code.Canceled) : undefined;
  }
  if (peerReset.test(reason.rawMessage)) Object.assign(reason, { code: Code.Canceled });
  if (requestFault.test(reason.rawMessage)) Object.assign(reason, { code: Code.InvalidArgument });
  complete(reason, text);
  const code = Code[reason.code];
  // Errors of other codes have causes in the request and quote it, so their causes are not logged.
  if (reason.code === Code.Internal && !prescribed.test(reason.rawMessage))
    log?.error({ err: reason, milliseconds }, "call failed");
  else if (reason.code === Code.Unavailable && reason.cause)
    log?.warn({ err: reason.cause, code, milliseconds }, "call failed");
  else log?.debug({ code, reason: reasonOf(reason), milliseconds }, "call ended");
  return reason;
}

/** The caller reset its HTTP/2 stream. Connect derives the code from the HTTP/2 error code, mostly INTERNAL. */
const peerReset = /^http\/2 stream closed with error code /;
/** Errors that Connect raises as INTERNAL although the bytes of the request are at fault. */
const requestFault = /^(parse binary: |decompression failed$)/;
/** The one fault of a request for which gRPC prescribes INTERNAL (grpc/doc/compression.md). */
const prescribed = /^received compressed envelope/;

/** Adds to an error that Connect itself raised the details that errors of the table have. */
function complete(error: ConnectError, text: Pick<RequestJson<DescMessage>, "violation"> | undefined): void {
  const reason = connectReasons.get(error.code);
  if (reason === undefined || reasonOf(error) !== undefined) return;
  const violation = reason === "BODY_INVALID" ? text?.violation(error.rawMessage) : undefined;
  if (violation) {
    const { rawMessage, message, details } = fail(reason, violation.description, { field: violation.field });
    Object.assign(error, { rawMessage, message });
    error.details.push(...details);
    return;
  }
  const field = /cannot decode field ([\w.]+)/.exec(error.rawMessage)?.[1]?.replace(/^tidings\.v1\.\w+\./, "");
  const metadata = field === undefined ? {} : { field };
  error.details.push({
    desc: ErrorInfoSchema,
    value: create(ErrorInfoSchema, { reason, domain: errorDomain, metadata }),
  });
  if (field === undefined) return;
  const fieldViolations = [{ field, description: error.rawMessage, reason }];
  error.details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
}

/** The reasons of the errors that Connect itself raises. */
const connectReasons: ReadonlyMap<Code, Reason> = new Map([
  [Code.InvalidArgument, "BODY_INVALID"],
  [Code.ResourceExhausted, "REQUEST_TOO_LARGE"],
  [Code.DeadlineExceeded, "DEADLINE_EXCEEDED"],
  [Code.Unimplemented, "PROTOCOL_UNSUPPORTED"],
]);
