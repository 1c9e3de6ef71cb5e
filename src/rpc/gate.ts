import { create, type DescMessage, type DescMethod } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError, createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Logger } from "pino";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { type Identity, isUser, type Role } from "../auth/identity.ts";
import { bearerToken } from "../auth/verify-token.ts";
import type { RequestJson } from "../contract/request-json.ts";
import type { Core } from "../core/core.ts";
import { codeName, errorDomain, fail, type Reason, reasonOf } from "../errors.ts";
import { type ConnectionHandle, connectionKey, isDisconnect } from "../http/adapter.ts";
import type { Codec } from "../inbox/list-page.ts";
import { rpcSystem, serverFault, type Transport } from "../metrics/counters.ts";
import type { Span } from "../ports/tracer.ts";
import { guard } from "../util/guard.ts";
import { tenantKey } from "../util/keys.ts";
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
export const requestIdHeader = "x-request-id";
const requestIdPattern = /^[\w.:-]{1,64}$/;

/** A call, as its handler presents it to the gate. */
export interface GateCall {
  readonly transport: Transport;
  /** The codec of request and response. */
  readonly codec: Codec;
  /** Returns a header of the request by its name in lower case. */
  header(name: string): string | null | undefined;
  /** The transport under the call; undefined in the server of another program. */
  readonly connection: ConnectionHandle | undefined;
  /** Fires when the call ends, and when its caller goes away before. Read it only to wait: some handlers create it then. */
  readonly signal: AbortSignal;
}

/** A method, as the gate knows it. */
interface GatedMethod {
  /** The full name, such as `tidings.v1.PushService/Publish`. */
  readonly name: string;
  readonly desc: DescMethod;
  readonly roles: readonly Role[];
  readonly text: RequestText | undefined;
}

/** The JSON of a request, to find the field at fault. */
type RequestText = Pick<RequestJson<DescMessage>, "violation">;

/**
 * The gate that every call passes: it authenticates the caller, checks the role, and records the call when it ends. It is
 * passed after the headers have arrived and before the body is read, decompressed or parsed.
 */
export class Gate {
  readonly #core: Core;
  readonly #logger: Logger | undefined;

  constructor(core: Core, logger: Logger | undefined) {
    this.#core = core;
    this.#logger = logger;
  }

  /** Returns the function that begins the calls of a method. `text` has the JSON of its request. */
  method(desc: DescMethod, text?: RequestText): (call: GateCall) => Passage {
    const name = `${desc.parent.typeName}/${desc.name}`;
    const method: GatedMethod = { name, desc, roles: allowedRoles[name] ?? [], text };
    return (call) => new Passage(this.#core, this.#logger, method, call);
  }
}

/** One call on its way through the gate. */
export class Passage {
  /** Identifies the call in the logs, and in the header of its response. */
  readonly requestId: string;
  readonly #core: Core;
  readonly #logger: Logger | undefined;
  readonly #method: GatedMethod;
  readonly #call: GateCall;
  readonly #start = performance.now();
  readonly #startTime = Date.now();
  #identity: Identity | undefined;
  #span: Span | undefined;
  #hasEnded = false;

  constructor(core: Core, logger: Logger | undefined, method: GatedMethod, call: GateCall) {
    this.#core = core;
    this.#logger = logger;
    this.#method = method;
    this.#call = call;
    const given = call.header(requestIdHeader) ?? "";
    this.requestId = requestIdPattern.test(given) ? given : core.context.newId();
  }

  /** The transport of the call. */
  get transport(): Transport {
    return this.#call.transport;
  }

  /** The codec of request and response. */
  get codec(): Codec {
    return this.#call.codec;
  }

  /** The caller. Throws before `authorise`: a mistake in the wiring, not in the request. */
  get identity(): Identity {
    if (!this.#identity) throw new Error(`no gate stands before ${this.#method.desc.name}`);
    return this.#identity;
  }

  /** The trace span of a unary call; undefined before `enter`, and for a call that is not traced. */
  get span(): Span | undefined {
    return this.#span;
  }

  /** Whether the call has ended, or its caller has gone away. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Authenticates the caller, and checks that the role may call the method and that the rate limit allows it. */
  async authorise(): Promise<void> {
    const { authenticate, admit, context } = this.#core;
    const { name, desc, roles } = this.#method;
    const token = bearerToken(this.#call.header("authorization") ?? null);
    const isUnary = desc.methodKind === "unary";
    const identity = await (isUnary ? authenticate(token) : admit(token, this.#call.connection?.address()));
    if (!roles.includes(identity.role)) {
      throw fail("ROLE_FORBIDDEN", `the role ${identity.role} may not call ${desc.name}`, {
        metadata: { role: identity.role },
      });
    }
    if (!separatelyLimited.has(name)) context.limits.call(identity);
    this.#identity = identity;
  }

  /**
   * Waits until the connection has room for the answer, and starts the span. Returns undefined if there is nothing to wait for.
   * Rejects when the call ends meanwhile.
   */
  enter(): Promise<void> | undefined {
    const { connection } = this.#call;
    const { identity } = this;
    if (connection && isUser(identity)) connection.user = tenantKey(identity.tenant, identity.subject);
    const room = connection?.enter(this.#call);
    if (!room) {
      this.#trace();
      return undefined;
    }
    return room.then(() => {
      this.#call.signal.throwIfAborted();
      this.#trace();
    });
  }

  /**
   * Records that the call has ended, and completes the details of its error. `reason` is the error, or the reason for which
   * its signal was aborted, undefined for success. Without effect on a call that has ended. Never throws.
   */
  end(reason: unknown): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    guard(
      (error) => this.#log()?.error({ err: error }, "a callback failed"),
      () => this.#record(reason),
    );
  }

  #record(reason: unknown): void {
    const { name, text } = this.#method;
    const { transport } = this.#call;
    const error = this.#finish(reason, text);
    const seconds = (performance.now() - this.#start) / 1000;
    this.#core.context.counters.called({ method: name, transport, seconds, error });
    this.#span?.end(error ? { "error.type": codeName(error.code) } : {}, serverFault(error));
  }

  /** Starts the span. Not for a stream: it would be open for hours, and the messages it delivers have spans of their own. */
  #trace(): void {
    const { name, desc } = this.#method;
    if (desc.methodKind !== "unary") return;
    const attributes = { "rpc.method": name, "rpc.system.name": rpcSystem(this.#call.transport) };
    // A user's parent is ignored, since users could otherwise decide which calls are recorded.
    const parent = this.identity.role === "user" ? undefined : (this.#call.header("traceparent") ?? undefined);
    const startTime = this.#startTime;
    this.#span = this.#core.context.tracer.start({ name, kind: "server", parent, attributes, startTime });
  }

  /** The logger of this call, created on demand: most calls are not logged. */
  #log(): Logger | undefined {
    return this.#logger?.child({ requestId: this.requestId, method: this.#method.name });
  }

  /**
   * Logs the end of a call of any protocol, and adds details to errors that Connect itself raised. An unexpected error is
   * logged, once, and not sent. Returns the error that the caller gets, or `undefined` for a call that did not fail.
   */
  #finish(reason: unknown, text: RequestText | undefined): ConnectError | undefined {
    const milliseconds = Math.round(performance.now() - this.#start);
    if (!(reason instanceof ConnectError)) {
      const unexpected = reason instanceof Error && reason.name !== "AbortError" && !isDisconnect(reason);
      if (unexpected) this.#log()?.error({ err: reason, milliseconds }, "call failed");
      else this.#debug({ milliseconds });
      if (unexpected) return new ConnectError("", Code.Internal);
      return reason !== undefined && isDisconnect(reason) ? new ConnectError("", Code.Canceled) : undefined;
    }
    if (peerReset.test(reason.rawMessage)) Object.assign(reason, { code: Code.Canceled });
    if (requestFault.test(reason.rawMessage)) Object.assign(reason, { code: Code.InvalidArgument });
    complete(reason, text);
    const code = Code[reason.code];
    // Errors of other codes have causes in the request and quote it, so their causes are not logged.
    if (reason.code === Code.Internal && !prescribed.test(reason.rawMessage))
      this.#log()?.error({ err: reason, milliseconds }, "call failed");
    else if (reason.code === Code.Unavailable && reason.cause)
      this.#log()?.warn({ err: reason.cause, code, milliseconds }, "call failed");
    else this.#debug({ code, reason: reasonOf(reason), milliseconds });
    return reason;
  }

  #debug(fields: object): void {
    if (this.#logger?.isLevelEnabled("debug")) this.#log()?.debug(fields, "call ended");
  }
}

/** Creates the gate of Connect's own handlers. `begin` has the functions of `Gate.method` by the full names of the methods. */
export function createGate(
  begin: ReadonlyMap<string, (call: GateCall) => Passage>,
): (context: HandlerContext) => Promise<void> {
  return async (context) => {
    const { signal, requestHeader, values } = context;
    const name = `${context.service.typeName}/${context.method.name}`;
    const call = begin.get(name)?.({
      transport: transportOf(context),
      codec: codecOf(context),
      header: (header) => requestHeader.get(header),
      connection: values.get(connectionKey),
      signal,
    });
    if (!call) throw new Error(`${name} is not a method of the gate`);
    context.responseHeader.set(requestIdHeader, call.requestId);
    keepMessageLegible(context.responseTrailer);
    // A handler of Connect aborts its signal with the error just before it writes it, so that details can still be added.
    signal.addEventListener("abort", () => call.end(signal.reason));
    await call.authorise();
    if (context.requestMethod === "GET") checkBase64(context.url);
    await call.enter();
    values.set(passageKey, call);
  };
}

/** The passage of a call through the gate; set once the gate has let the call through. */
const passageKey = createContextKey<Passage | undefined>(undefined);

/** Returns the passage of a call. Throws when the handler was registered without the gate. */
export function passageOf(context: HandlerContext): Passage {
  const passage = context.values.get(passageKey);
  if (!passage) throw new Error(`no gate stands before ${context.method.name}`);
  return passage;
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

/** The codec in which a handler answers, which is that of the request; a GET has it in its query, and not in a header. */
function codecOf({ responseHeader }: HandlerContext): Codec {
  return /[/+]json\b/.test(responseHeader.get("content-type") ?? "") ? "json" : "proto";
}

/** The transport of a call, for metrics. */
function transportOf({ protocolName }: HandlerContext): Transport {
  return protocolName === "grpc" || protocolName === "grpc-web" ? protocolName : "connect";
}

/** The caller reset its HTTP/2 stream. Connect derives the code from the HTTP/2 error code, mostly INTERNAL. */
const peerReset = /^http\/2 stream closed with error code /;
/** Errors that Connect raises as INTERNAL although the bytes of the request are at fault. */
const requestFault = /^(parse binary: |decompression failed$)/;
/** The one fault of a request for which gRPC prescribes INTERNAL (grpc/doc/compression.md). */
const prescribed = /^received compressed envelope/;

/** Adds to an error that Connect itself raised the details that errors of the table have. */
function complete(error: ConnectError, text: RequestText | undefined): void {
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
