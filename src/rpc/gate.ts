import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { Logger } from "pino";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { Identity, Role } from "../auth/identity.ts";
import { bearerToken } from "../auth/verify-token.ts";
import type { Core } from "../core/core.ts";
import { codeName, errorDomain, fail, type Reason, reasonOf } from "../errors.ts";
import { isDisconnect } from "../http/adapter.ts";
import { rpcSystem, serverFault, type Transport } from "../metrics/counters.ts";
import { identityKey, spanKey } from "./context.ts";
import { keepMessageLegible } from "./grpc-message.ts";

const everyRole: readonly Role[] = ["user", "service", "admin"];
const publishers: readonly Role[] = ["service", "admin"];

/** Who may call what. A method that is not here is closed. */
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

/** Names a call in the logs: the caller's, when it sends one of these characters, else a fresh one. */
const requestIdHeader = "x-request-id";
const requestIdPattern = /^[\w.:-]{1,64}$/;

/** The gate of all calls: it runs after the headers and before the body is read, decompressed or parsed. */
export function createGate(
  { context: node, authenticate, admit }: Core,
  logger: Logger | undefined,
): (context: HandlerContext) => Promise<void> {
  return async (context) => {
    const method = `${context.service.typeName}/${context.method.name}`;
    const given = context.requestHeader.get(requestIdHeader) ?? "";
    const requestId = requestIdPattern.test(given) ? given : node.newId();
    context.responseHeader.set(requestIdHeader, requestId);
    const log = logger?.child({ requestId, method });
    const start = performance.now();
    const startTime = Date.now();
    context.signal.addEventListener("abort", () => {
      const error = finish(context.signal.reason, start, log);
      keepMessageLegible(context.responseTrailer);
      const seconds = (performance.now() - start) / 1000;
      node.counters.called({ method, transport: transportOf(context), seconds, error });
      context.values.get(spanKey)?.end(error ? { "error.type": codeName(error.code) } : {}, serverFault(error));
    });
    const enter = context.method.methodKind === "unary" ? authenticate : admit;
    const identity = await enter(bearerToken(context.requestHeader.get("authorization")));
    const roles = allowedRoles[method] ?? [];
    if (!roles.includes(identity.role)) {
      throw fail("ROLE_FORBIDDEN", `the role ${identity.role} may not call ${context.method.name}`, {
        metadata: { role: identity.role },
      });
    }
    context.values.set(identityKey, identity);
    // A stream would be a span for hours; what it delivers has spans of its own.
    if (context.method.methodKind === "unary") {
      const attributes = { "rpc.method": method, "rpc.system.name": rpcSystem(transportOf(context)) };
      const parent = parentOf(identity, context);
      context.values.set(spanKey, node.tracer.start({ name: method, kind: "server", parent, attributes, startTime }));
    }
  };
}

/** What a call comes by. */
export function transportOf({ protocolName }: HandlerContext): Transport {
  return protocolName === "grpc" || protocolName === "grpc-web" ? protocolName : "connect";
}

/** Backends may say which trace a call is of. Users may not: they would decide what is recorded. */
function parentOf({ role }: Identity, { requestHeader }: HandlerContext): string | undefined {
  return role === "user" ? undefined : (requestHeader.get("traceparent") ?? undefined);
}

/**
 * The end of a call, whatever the protocol: a handler aborts its signal with its error just before it writes it, so
 * that the error can still be completed. What nobody expected is logged, once, and stays inside. Answers with the error
 * that the caller gets, if it is one.
 */
function finish(reason: unknown, start: number, log: Logger | undefined): ConnectError | undefined {
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
  complete(reason);
  const code = Code[reason.code];
  // The causes of other codes are the request's, and quote it.
  if (reason.code === Code.Internal && !prescribed.test(reason.rawMessage))
    log?.error({ err: reason, milliseconds }, "call failed");
  else if (reason.code === Code.Unavailable && reason.cause)
    log?.warn({ err: reason.cause, code, milliseconds }, "call failed");
  else log?.debug({ code, reason: reasonOf(reason), milliseconds }, "call ended");
  return reason;
}

/** What Connect calls by the HTTP/2 error code that the caller gave when it left; most of them would be INTERNAL. */
const peerReset = /^http\/2 stream closed with error code /;
/** What Connect calls INTERNAL although the request's bytes are at fault. */
const requestFault = /^(parse binary: |decompression failed$)/;
/** The one fault of a request for which gRPC prescribes INTERNAL (doc/compression.md). */
const prescribed = /^received compressed envelope/;

/** Gives an error that Connect itself raised the details that ours have. */
function complete(error: ConnectError): void {
  const reason = connectReasons.get(error.code);
  if (reason === undefined || reasonOf(error) !== undefined) return;
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

const connectReasons: ReadonlyMap<Code, Reason> = new Map([
  [Code.InvalidArgument, "BODY_INVALID"],
  [Code.ResourceExhausted, "REQUEST_TOO_LARGE"],
  [Code.DeadlineExceeded, "DEADLINE_EXCEEDED"],
  [Code.Unimplemented, "PROTOCOL_UNSUPPORTED"],
]);
