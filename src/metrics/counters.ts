import { Code, type ConnectError } from "@connectrpc/connect";
import { Kind, Scope } from "../../gen/tidings/v1/message_pb.ts";
import { codeName, errorTable, type Reason, reasonOf } from "../errors.ts";
import { type LimitName, limitNames, type QuotaName, quotaNames } from "../limit-options.ts";
import type { Counter, Histogram, Metrics } from "../ports/metrics.ts";
import type { CommitListener } from "../ports/store.ts";

/** The transports of streams; a `local` stream has none, and stays within the process. */
export const transports = ["connect", "grpc", "grpc-web", "websocket", "sse", "long-poll", "local"] as const;
/** The transport of a stream or call. */
export type Transport = (typeof transports)[number];

/** RPC systems, as OpenTelemetry's conventions name them. */
const systems = ["connectrpc", "grpc"] as const;
const audiences = ["user", "users", "room", "tenant", "everyone"] as const;
const kinds = ["notification", "activity", "event"] as const;
const outcomes = ["stored", "live", "duplicate", "conflict"] as const;
/** Why a connection or call is cut; docs/metrics.md explains each. */
export const cutReasons = ["rapid_resets", "watched_address", "answer_stalled", "answer_limit", "body_limit"] as const;
/** Why a connection is cut. */
export type CutReason = (typeof cutReasons)[number];
const codes = Object.values(Code).filter((code): code is Code => typeof code === "number");
const reasons = Object.keys(errorTable) as Reason[];

/** Bounds in seconds, as the conventions advise. */
const callBounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const storeBounds = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const batchBounds = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000];

/** A call that has ended. */
export interface EndedCall {
  /** The full name, such as `tidings.v1.PushService/Publish`. */
  readonly method: string;
  readonly transport: Transport;
  readonly seconds: number;
  /** Undefined for a call that succeeded. */
  readonly error: ConnectError | undefined;
}

/** Codes that blame the server and not the caller (OpenTelemetry's conventions for gRPC servers). */
const serverFaults: ReadonlySet<Code> = new Set([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

/** The `error.type` of a call by the conventions; undefined unless the server is to blame. */
export function serverFault(error: ConnectError | undefined): string | undefined {
  return error && serverFaults.has(error.code) ? codeName(error.code) : undefined;
}

/** The RPC system of a transport, as the conventions name it. */
export function rpcSystem(transport: Transport): (typeof systems)[number] {
  return transport === "grpc" || transport === "grpc-web" ? "grpc" : "connectrpc";
}

/** The events that a node counts as they happen. Values that it has anyway are read by src/core/gauges.ts. */
export class Counters {
  readonly #calls: Histogram<{
    rpc_system_name: typeof systems;
    rpc_method: readonly string[];
    rpc_response_status_code: readonly string[];
    error_type: readonly string[];
  }>;
  readonly #errors: Counter<{ reason: readonly string[] }>;
  readonly #limited: Counter<{ limit: readonly (LimitName | QuotaName)[] }>;
  readonly #opened: Counter<{ transport: typeof transports }>;
  readonly #published: Counter<{ kind: typeof kinds; audience: typeof audiences; outcome: typeof outcomes }>;
  readonly #cut: Counter<{ reason: typeof cutReasons }>;
  readonly #batches: Histogram<Record<never, never>>;
  readonly #commits: Histogram<Record<never, never>>;

  /** `methods`: the full names of all RPCs. */
  constructor(metrics: Metrics, methods: readonly string[]) {
    const statuses = codes.flatMap((code) => [codeName(code), grpcName(code)]);
    this.#calls = metrics.histogram(
      {
        name: "rpc_server_call_duration_seconds",
        help: "Duration of calls and streams. By OpenTelemetry's conventions (rpc.server.call.duration).",
        labels: {
          rpc_system_name: systems,
          rpc_method: methods,
          rpc_response_status_code: ["", "OK", ...statuses],
          error_type: ["", ...codes.map(codeName)],
        },
      },
      callBounds,
    );
    this.#errors = metrics.counter({
      name: "tidings_errors_total",
      help: "Errors that callers got, by reason (docs/errors.md), including those of single items of a batch.",
      labels: { reason: reasons },
    });
    for (const reason of reasons) this.#errors.add({ reason }, 0);
    this.#limited = metrics.counter({
      name: "tidings_rate_limited_total",
      help: "Calls, streams and messages that a rate limit or quota refused, by the option that sets it.",
      labels: { limit: [...limitNames, ...quotaNames] },
    });
    for (const limit of [...limitNames, ...quotaNames]) this.#limited.add({ limit }, 0);
    this.#opened = metrics.counter({
      name: "tidings_streams_opened_total",
      help: "Streams that were opened.",
      labels: { transport: transports },
    });
    this.#published = metrics.counter({
      name: "tidings_messages_published_total",
      help: "Messages published. outcome: stored; live (not stored); duplicate or conflict (of a request_id).",
      labels: { kind: kinds, audience: audiences, outcome: outcomes },
    });
    this.#cut = metrics.counter({
      name: "tidings_connections_cut_total",
      help: "Connections and calls that were cut because of what their peers did or did not do.",
      labels: { reason: cutReasons },
    });
    for (const reason of cutReasons) this.#cut.add({ reason }, 0);
    this.#batches = metrics.histogram(
      {
        name: "tidings_store_batch_messages",
        help: "Messages that one durable write of the store appended together; 0 for a write of read states alone.",
        labels: {},
      },
      batchBounds,
    );
    this.#commits = metrics.histogram(
      {
        name: "tidings_store_commit_duration_seconds",
        help: "Time that one durable write of the store took, until it was on the disk or with a majority.",
        labels: {},
      },
      storeBounds,
    );
  }

  /** Counts a call that has ended. */
  called({ method, transport, seconds, error }: EndedCall): void {
    const system = rpcSystem(transport);
    const grpc = system === "grpc";
    // gRPC has a code for success; Connect has codes for errors only.
    const status = grpc ? (error ? grpcName(error.code) : "OK") : error ? codeName(error.code) : "";
    const values = {
      rpc_system_name: system,
      rpc_method: method,
      rpc_response_status_code: status,
      error_type: serverFault(error) ?? "",
    };
    this.#calls.record(values, seconds);
    if (error) this.failed(error);
  }

  /** Counts an error that a caller gets. A canceled call counts nothing, for its caller has gone. */
  failed(error: ConnectError): void {
    if (error.code !== Code.Canceled) this.#errors.add({ reason: reasonOf(error) ?? "INTERNAL" });
  }

  /** Counts a call, stream or message that a rate limit or quota refused. */
  limited(limit: LimitName | QuotaName): void {
    this.#limited.add({ limit });
  }

  /** Counts a stream that was opened. */
  opened(transport: Transport): void {
    this.#opened.add({ transport });
  }

  /** Counts a message that was published. `kind`: a number of tidings.v1.Kind. `users`: receivers of the scope USER. */
  published(kind: number, scope: Scope, users: number, outcome: (typeof outcomes)[number]): void {
    this.#published.add({ kind: kindName(kind), audience: audienceName(scope, users), outcome });
  }

  /** Counts a connection or call that is cut because of its peer's behaviour. */
  cut(reason: CutReason): void {
    this.#cut.add({ reason });
  }

  /** Counts a durable write of the store. */
  readonly committed: CommitListener = ({ messages, seconds }) => {
    this.#batches.record({}, messages);
    this.#commits.record({}, seconds);
  };
}

/** gRPC's name of a code, such as `INVALID_ARGUMENT`. CANCELLED has one L in Connect and two in gRPC. */
function grpcName(code: Code): string {
  return code === Code.Canceled ? "CANCELLED" : codeName(code).toUpperCase();
}

function kindName(kind: number): (typeof kinds)[number] {
  if (kind === Kind.NOTIFICATION) return "notification";
  return kind === Kind.ACTIVITY ? "activity" : "event";
}

function audienceName(scope: Scope, users: number): (typeof audiences)[number] {
  if (scope === Scope.TENANT) return "tenant";
  if (scope === Scope.EVERYONE) return "everyone";
  if (scope === Scope.ROOM) return "room";
  return users > 1 ? "users" : "user";
}
