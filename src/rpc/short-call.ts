import { Code, ConnectError } from "@connectrpc/connect";
import type { ConnectionHandle, Exchange } from "../http/adapter.ts";
import { onGone } from "../http/exchange.ts";
import type { PlainCodec, PlainRequest } from "../http/plain-request.ts";
import type { GateCall, Passage } from "./gate.ts";

/** One call of a short handler, as Connect's context is one of its own handlers. Signal and timer are created on demand. */
export class ShortCall implements GateCall {
  readonly transport = "connect";
  readonly codec: PlainCodec;
  readonly connection: ConnectionHandle;
  readonly passage: Passage;
  /** Whether the whole body has been read. */
  hasBody = false;
  readonly #headers: Exchange["request"]["headers"];
  #deadline: NodeJS.Timeout | undefined;
  #abort: AbortController | undefined;
  #end: { readonly reason: unknown } | undefined;

  constructor(
    { codec, timeoutMs }: PlainRequest,
    { request, response, handle }: Exchange,
    begin: (call: GateCall) => Passage,
  ) {
    this.codec = codec;
    this.connection = handle;
    this.#headers = request.headers;
    this.passage = begin(this);
    // A connection of HTTP/1.1 that breaks is an error only of a request that has not been read.
    onGone(request, response, (reason) => this.#stop(this.hasBody && !("stream" in request) ? undefined : reason));
    if (timeoutMs !== undefined) {
      const late = () => this.#stop(new ConnectError("the operation timed out", Code.DeadlineExceeded));
      this.#deadline = setTimeout(late, timeoutMs);
    }
  }

  header(name: string): string | undefined {
    return this.#headers[name] as string | undefined;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#end) this.#abort.abort(this.#end.reason);
    return this.#abort.signal;
  }

  /** Set once the call has ended: its error, or the reason for which its signal was aborted. */
  get ended(): { readonly reason: unknown } | undefined {
    return this.#end;
  }

  /** Ends the call, and its deadline. */
  end(reason: unknown): void {
    clearTimeout(this.#deadline);
    this.#stop(reason);
  }

  #stop(reason: unknown): void {
    if (this.#end) return;
    this.#end = { reason };
    this.passage.end(reason);
    this.#abort?.abort(reason);
    this.stopped(reason);
  }

  /** Called when the call has ended, or its caller has gone away, before its answer is complete. */
  protected stopped(_reason: unknown): void {}
}

/** Returns the error that the caller gets: any error but a ConnectError is an internal one, as in Connect's own handlers. */
export function toConnectError(reason: unknown): ConnectError {
  if (reason instanceof ConnectError) return reason;
  return new ConnectError("internal error", Code.Internal, undefined, undefined, reason);
}
