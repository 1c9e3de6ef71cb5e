/** What the scenario asks of a client, whatever it is: calls and streams, with messages in the JSON form of Protobuf. */
import type { DescMethod, JsonObject, JsonValue } from "@bufbuild/protobuf";

/** One call. */
export interface Call {
  readonly method: DescMethod;
  readonly request: JsonValue;
  /** Without one the call carries no credentials. */
  readonly token?: string;
  /** A deadline, for clients that have them. */
  readonly timeoutMs?: number;
}

/** An open stream. */
export interface EventStream {
  /** The next event; rejects with the CallError that ended the stream. */
  next(): Promise<JsonValue>;
  /** Goes away without a word. */
  cancel(): void;
}

/** One real client. */
export interface Driver {
  /** Rejects with a CallError. */
  unary(call: Call): Promise<JsonValue>;
  stream(call: Call): EventStream;
  close(): void;
}

/** How clients differ. */
export interface Traits {
  /** A deadline that usually leaves a stream the time for its first events; `undefined` for a client without deadlines. */
  readonly deadlineMs: number | undefined;
  /** Whether errors of streams carry details, not the code and the reason alone. */
  readonly streamDetails: boolean;
}

/** Makes a driver for a server such as `http://127.0.0.1:12345`. */
export type Connect = (url: string) => Driver | Promise<Driver>;

/** A detail of an error. */
export interface Detail {
  /** Such as `google.rpc.ErrorInfo`. */
  readonly type: string;
  readonly value: JsonObject;
}

/** An error as the client shows it. */
export class CallError extends Error {
  /** In the spelling of Connect, such as `invalid_argument`. */
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

/** `INVALID_ARGUMENT` and `InvalidArgument` → `invalid_argument`; gRPC's `CANCELLED` → `canceled`. */
export function codeName(code: string): string {
  const name = code.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
  return name === "cancelled" ? "canceled" : name;
}

/** An EventStream fed by callbacks. */
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

  /** Nothing comes after this; later ends are ignored. */
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

/** Ends a stream that ended without an error: the contract says that none does. */
export function endedSilently(): CallError {
  return new CallError("none", "the stream ended without an error", []);
}
