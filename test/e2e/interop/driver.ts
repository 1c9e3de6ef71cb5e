/** The interface of a client for the scenario: calls and streams, with messages in the JSON form of Protobuf. */
import type { DescMethod, JsonObject, JsonValue } from "@bufbuild/protobuf";

/** A call. */
export interface Call {
  readonly method: DescMethod;
  readonly request: JsonValue;
  /** The token; without it, the call has no credentials. */
  readonly token?: string;
  /** The deadline in ms, for clients that support deadlines. */
  readonly timeoutMs?: number;
}

/** An open stream. */
export interface EventStream {
  /** The next event; rejects with the CallError that ended the stream. */
  next(): Promise<JsonValue>;
  /** Drops the stream. */
  cancel(): void;
}

/** A real client. */
export interface Driver {
  /** Makes a unary call. Rejects with a CallError. */
  unary(call: Call): Promise<JsonValue>;
  stream(call: Call): EventStream;
  close(): void;
}

/** The differences between clients. */
export interface Traits {
  /**
   * A deadline that usually suffices for the first events of a stream, in ms; `undefined` for a client without
   * deadlines.
   */
  readonly deadlineMs: number | undefined;
  /** Whether errors of streams have details, instead of only a code and a reason. */
  readonly streamDetails: boolean;
}

/** Creates a driver for the URL of a server, such as `http://127.0.0.1:12345`. */
export type Connect = (url: string) => Driver | Promise<Driver>;

/** A detail of an error. */
export interface Detail {
  /** The type, such as `google.rpc.ErrorInfo`. */
  readonly type: string;
  readonly value: JsonObject;
}

/** An error as the client shows it. */
export class CallError extends Error {
  /** The code as Connect writes it, such as `invalid_argument`. */
  readonly code: string;
  readonly details: readonly Detail[];

  constructor(code: string, message: string, details: readonly Detail[]) {
    super(message);
    this.code = code;
    this.details = details;
  }

  /** The value of the first detail of a type. */
  detail(type: string): JsonObject | undefined {
    return this.details.find((detail) => detail.type === type)?.value;
  }
}

/** Converts `INVALID_ARGUMENT` and `InvalidArgument` to `invalid_argument`, and gRPC's `CANCELLED` to `canceled`. */
export function codeName(code: string): string {
  const name = code.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
  return name === "cancelled" ? "canceled" : name;
}

/** An EventStream that callbacks fill. */
export class Inflow implements EventStream {
  readonly #events: JsonValue[] = [];
  readonly #waiting: PromiseWithResolvers<JsonValue>[] = [];
  readonly #cancel: () => void;
  #error: Error | undefined;

  constructor(cancel: () => void) {
    this.#cancel = cancel;
  }

  push(event: JsonValue): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting.resolve(event);
    else this.#events.push(event);
  }

  /** Ends the stream with an error; later ends are ignored. */
  end(error: Error): void {
    this.#error ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#error);
  }

  next(): Promise<JsonValue> {
    const event = this.#events.shift();
    if (event !== undefined) return Promise.resolve(event);
    if (this.#error) return Promise.reject(this.#error);
    const waiting = Promise.withResolvers<JsonValue>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  cancel(): void {
    this.#cancel();
  }
}

/** The error of a stream that ended without one, which the contract rules out. */
export function endedSilently(): CallError {
  return new CallError("none", "the stream ended without an error", []);
}
