import { Code, type ConnectError } from "@connectrpc/connect";
import { Kind, Scope } from "../../gen/tidings/v1/message_pb.ts";
import { codeName, errorTable, type Reason, reasonOf } from "../errors.ts";
import type { Counter, Histogram, Metrics } from "../ports/metrics.ts";
import type { CommitListener } from "../ports/store.ts";

/** What streams run over; `local` is a stream without a transport, within the process. */
export const transports = ["connect", "grpc", "grpc-web", "websocket", "local"] as const;
/** What a stream runs over. */
export type Transport = (typeof transports)[number];

/** Systems of RPC, as the conventions name them. */
const systems = ["connectrpc", "grpc"] as const;
const audiences = ["user", "users", "room", "tenant", "everyone"] as const;
const kinds = ["notification", "activity", "event"] as const;
const outcomes = ["stored", "live", "duplicate", "conflict"] as const;
const codes = Object.values(Code).filter((code): code is Code => typeof code === "number");
const reasons = Object.keys(errorTable) as Reason[];

/** Seconds; those that the conventions advise. */
const callBounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const storeBounds = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const batchBounds = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000];

/** A call that has ended. */
export interface EndedCall {
  /** Such as `tidings.v1.PushService/Publish`. */
  readonly method: string;
  readonly transport: Transport;
  readonly seconds: number;
  readonly error: ConnectError | undefined;
}

/** Codes with which a server says that it failed, and not the caller (OpenTelemetry's conventions for gRPC servers). */
const serverFaults: ReadonlySet<Code> = new Set([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

/** The error of a call as the conventions class it; undefined where the server did what it should. */
export function serverFault(error: ConnectError | undefined): string | undefined {
  return error && serverFaults.has(error.code) ? codeName(error.code) : undefined;
}

/** The system of RPC that a transport belongs to, as the conventions name it. */
export function rpcSystem(transport: Transport): (typeof systems)[number] {
  return transport === "grpc" || transport === "grpc-web" ? "grpc" : "connectrpc";
}

/** What a node counts as it happens. What it only has, is read in figures.ts. */
export class Counters {
  readonly #calls: Histogram<{
    rpc_system_name: typeof systems;
    rpc_method: readonly string[];
    rpc_response_status_code: readonly string[];
    error_type: readonly string[];
  }>;
  readonly #errors: Counter<{ reason: readonly string[] }>;
  readonly #opened: Counter<{ transport: typeof transports }>;
  readonly #published: Counter<{ kind: typeof kinds; audience: typeof audiences; outcome: typeof outcomes }>;
  readonly #batches: Histogram<Record<never, never>>;
  readonly #commits: Histogram<Record<never, never>>;

  /** `methods`: the RPCs that there are. */
  constructor(meter: Metrics, methods: readonly string[]) {
    const statuses = codes.flatMap((code) => [codeName(code), grpcName(code)]);
    this.#calls = meter.histogram(
      {
        name: "rpc_server_call_duration_seconds",
        help: "Duration of calls; of a stream, its life. By OpenTelemetry's conventions (rpc.server.call.duration).",
        labels: {
          rpc_system_name: systems,
          rpc_method: methods,
          rpc_response_status_code: ["", "OK", ...statuses],
          error_type: ["", ...codes.map(codeName)],
        },
      },
      callBounds,
    );
    this.#errors = meter.counter({
      name: "tidings_errors_total",
      help: "Errors that callers got, by reason of docs/errors.md; those of single items of a batch, too.",
      labels: { reason: reasons },
    });
    for (const reason of reasons) this.#errors.add({ reason }, 0);
    this.#opened = meter.counter({
      name: "tidings_streams_opened_total",
      help: "Streams that were opened.",
      labels: { transport: transports },
    });
    this.#published = meter.counter({
      name: "tidings_messages_published_total",
      help: "Messages published. outcome: stored; live (not kept); duplicate or conflict (of a request_id).",
      labels: { kind: kinds, audience: audiences, outcome: outcomes },
    });
    this.#batches = meter.histogram(
      {
        name: "tidings_store_batch_messages",
        help: "Messages that one durable write of the store took together; 0 for one of read states alone.",
        labels: {},
      },
      batchBounds,
    );
    this.#commits = meter.histogram(
      {
        name: "tidings_store_commit_duration_seconds",
        help: "Time that one durable write of the store took, until it was on the disk, or with the majority.",
        labels: {},
      },
      storeBounds,
    );
  }

  /** A call has ended. */
  called({ method, transport, seconds, error }: EndedCall): void {
    const system = rpcSystem(transport);
    const grpc = system === "grpc";
    // gRPC names success, too; Connect has codes for errors only.
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

  /** Somebody is told an error; of a caller who has gone, nobody is. */
  failed(error: ConnectError): void {
    if (error.code !== Code.Canceled) this.#errors.add({ reason: reasonOf(error) ?? "INTERNAL" });
  }

  /** A stream was opened. */
  opened(transport: Transport): void {
    this.#opened.add({ transport });
  }

  /** A message was published. `kind`: a number of tidings.v1.Kind. */
  published(kind: number, scope: Scope, users: number, outcome: (typeof outcomes)[number]): void {
    this.#published.add({ kind: kindName(kind), audience: audienceName(scope, users), outcome });
  }

  /** To be told of the store's durable writes. */
  readonly committed: CommitListener = ({ messages, seconds }) => {
    this.#batches.record({}, messages);
    this.#commits.record({}, seconds);
  };
}

/** Such as `INVALID_ARGUMENT`; where Connect writes one L, gRPC writes two. */
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
