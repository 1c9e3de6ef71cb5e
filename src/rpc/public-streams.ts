import type { HandlerContext } from "@connectrpc/connect";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { fail } from "../errors.ts";
import { connectionKey } from "../http/adapter.ts";
import { type Clock, elapsedOn, type Random } from "../ports/clock.ts";
import { guard, warn } from "../util/guard.ts";
import type { ProcessCounts } from "../util/process-counts.ts";
import { TokenBucket } from "../util/token-bucket.ts";

/** The least share of one address or connection: a client watches the server and each of its services, or reflects once. */
const leastShare = 10;
/** Refusals of one connection that get an answer. */
const answeredRate = { perSecond: 1, burst: 10 };
/** The paths of the methods whose streams need no token. */
const paths: ReadonlySet<string> = new Set(
  [
    Health.method.watch,
    ServerReflection.method.serverReflectionInfo,
    ServerReflectionAlpha.method.serverReflectionInfo,
  ].map(({ parent, name }) => `/${parent.typeName}/${name}`),
);
/** The delay before a retry, in ms; each caller gets up to twice as much. */
const retryMs = 5_000;
/** How long a stream whose time is up may take to end, in ms: one whose peer reads nothing never would. */
const graceMs = 5_000;

/** What public streams need from the server. */
export interface PublicStreamsOptions {
  /**
   * The most streams of the node. One address may have a tenth of them, and so may one connection, which a proxy shares among
   * many clients.
   */
  readonly perNode: number;
  /** Counts the streams over all threads of the process. */
  readonly processCounts?: ProcessCounts | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Called with the error of each stream that is refused. */
  readonly refused: (error: ReturnType<typeof fail>) => void;
}

/**
 * The limits on streams that need no token: health watches and reflection. Without them a stranger could open any number
 * of streams and keep them for ever.
 */
export class PublicStreams {
  readonly #options: PublicStreamsOptions;
  readonly #addresses = new Map<string, number>();
  readonly #connections = new WeakMap<object, number>();
  /** Refusals that still get an answer, by connection. */
  readonly #answered = new WeakMap<object, TokenBucket>();
  #open = 0;

  constructor(options: PublicStreamsOptions) {
    this.#options = options;
  }

  /** The number of open streams. */
  get open(): number {
    return this.#open;
  }

  /**
   * Reports whether a call is to be reset without an answer: a refusal costs as much as any call, so a connection that goes
   * on after ten of them gets no more than one a second.
   */
  resets(path: string, connection: object): boolean {
    const answered = this.#answered.get(connection);
    if (!answered || !paths.has(path)) return false;
    answered.fill(elapsedOn(this.#options.clock));
    return answered.level < 1;
  }

  /**
   * Begins a stream. Returns a signal that fires when the stream has been open for `lifeMs`, and should end, or when its
   * call has ended. Throws TOO_MANY_STREAMS for one stream too many.
   */
  begin({ signal, values }: HandlerContext, lifeMs: number): AbortSignal {
    signal.throwIfAborted();
    const handle = values.get(connectionKey);
    // In the server of another program, the address and connection of a call are unknown.
    const address = handle?.address();
    const connection = handle?.connection ?? {};
    this.#check(address, connection);
    const { clock } = this.#options;
    this.#count(address, connection, 1);
    const ending = new AbortController();
    let timer = clock.after(lifeMs, () => {
      timer = clock.after(graceMs, () => handle?.destroy());
      ending.abort();
    });
    const end = () => {
      timer.cancel();
      this.#count(address, connection, -1);
      ending.abort();
    };
    // Not in a `finally` of the stream, which never runs when the peer goes away while a write waits for it to read. An
    // error in a listener of an AbortSignal would end the process.
    signal.addEventListener("abort", () => guard(warn, end), { once: true });
    return ending.signal;
  }

  #check(address: string | undefined, connection: object): void {
    const { perNode, random, refused } = this.#options;
    const share = Math.max(leastShare, Math.floor(perNode / 10));
    const isBeyond =
      Math.max(this.#open, this.#countOfProcess("node")) >= perNode ||
      (this.#connections.get(connection) ?? 0) >= share ||
      (address !== undefined &&
        Math.max(this.#addresses.get(address) ?? 0, this.#countOfProcess(`address\n${address}`)) >= share);
    if (!isBeyond) return;
    const sentence = "too many streams without a token are open; close some, or come back after the delay";
    const metadata = { option: "publicStreams", limit: String(perNode) };
    const error = fail("TOO_MANY_STREAMS", sentence, {
      metadata,
      retryAfterMs: Math.ceil(retryMs * (1 + random.fraction())),
    });
    const now = elapsedOn(this.#options.clock);
    const answered = this.#answered.get(connection) ?? new TokenBucket(answeredRate, now);
    this.#answered.set(connection, answered);
    answered.take(now);
    refused(error);
    throw error;
  }

  /** The streams of all threads of the process; 0 if it has only one. */
  #countOfProcess(key: string): number {
    return this.#options.processCounts?.get(`public\n${key}`) ?? 0;
  }

  #count(address: string | undefined, connection: object, by: 1 | -1): void {
    this.#open += by;
    this.#options.processCounts?.add("public\nnode", by);
    this.#connections.set(connection, (this.#connections.get(connection) ?? 0) + by);
    if (address === undefined) return;
    this.#options.processCounts?.add(`public\naddress\n${address}`, by);
    const left = (this.#addresses.get(address) ?? 0) + by;
    if (left > 0) this.#addresses.set(address, left);
    else this.#addresses.delete(address);
  }
}
