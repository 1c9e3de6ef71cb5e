/** Backends that keep publishing, retry calls that were not answered, and record every attempt and every answer. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { PushService } from "../../src/gen.ts";
import { type Destination, destinationsFor, type PublishInit } from "./destinations.ts";
import type { Answer, Publish } from "./history.ts";

/** Codes that leave the effect of a publish unknown: the connection broke, or the server ended. */
const retryable = new Set([Code.Unavailable, Code.Canceled, Code.Aborted, Code.Unknown, Code.DeadlineExceeded]);
/** The share of calls that are not retried when they fail. Their messages may be stored once or not at all. */
const noRetryShare = 0.2;
/** The share of calls without request ids, which must not be retried. */
const keylessShare = 0.1;
const callTimeoutMs = 10_000;
/** How much time of missed publishes a publisher that was held up makes up for. */
const maxBehindMs = 10_000;

/** Options of Publishers. */
export interface PublishersOptions {
  /** Callers start at different URLs, and retry a failed call at the next one. */
  readonly urls: readonly string[];
  /** The token of a service that is not bound to a tenant. */
  readonly token: string;
  readonly tenant: string;
  readonly users: readonly string[];
  /** The rate of all callers together. Default: as fast as they are answered. */
  readonly perSecond?: number;
  /** The most messages of a call. Default 20. */
  readonly maxPerBatch?: number;
  /** The share of messages that all pages receive. Default: every destination is equally likely. */
  readonly shareForAll?: number;
}

/** A call that failed with a code that allows a retry. */
export interface Failure {
  readonly code: string;
  readonly at: number;
  readonly tookMs: number;
  /** The error says when to retry. */
  readonly hasRetryInfo: boolean;
}

/** All publishers of a run. */
export class Publishers {
  readonly publishes: Publish[] = [];
  readonly answers: Answer[] = [];
  readonly failures: Failure[] = [];
  /** The number of calls, retries included. */
  calls = 0;
  /** The number of answers that report a duplicate: an earlier attempt had been stored, but not answered. */
  duplicates = 0;
  readonly #clients: readonly Client<typeof PushService>[];
  readonly #tenant: string;
  readonly #headers: HeadersInit;
  readonly #destinations: readonly Destination[];
  readonly #shareForAll: number;
  readonly #perMs: number;
  readonly #maxPerBatch: number;
  #nextAt = 0;
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();
  #onAnswer: () => void = () => {};

  constructor({ urls, token, tenant, users, perSecond, maxPerBatch, shareForAll }: PublishersOptions) {
    const transports = urls.map((baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" }));
    transports.push(...urls.map((baseUrl) => createGrpcTransport({ baseUrl })));
    this.#clients = transports.map((transport) => createClient(PushService, transport));
    this.#tenant = tenant;
    this.#headers = { authorization: `Bearer ${token}` };
    this.#destinations = destinationsFor(users);
    const forAll = this.#destinations.filter(({ isForAll }) => isForAll);
    this.#shareForAll = shareForAll ?? forAll.length / this.#destinations.length;
    this.#perMs = (perSecond ?? Number.POSITIVE_INFINITY) / 1000;
    this.#maxPerBatch = maxPerBatch ?? 20;
  }

  /** Starts `count` callers. */
  start(count: number): void {
    this.#nextAt = performance.now();
    this.#running = Promise.all(Array.from({ length: count }, (_, index) => this.#run(index)));
    // `answered`, `during` and `stop` report the rejection.
    this.#running.catch(() => {});
  }

  /** Waits until this many publishes were answered. Rejects when a call failed with an unexpected code. */
  async answered(count: number): Promise<void> {
    const enough = new Promise<void>((resolve) => {
      this.#onAnswer = () => {
        if (this.answers.length >= count) resolve();
      };
      this.#onAnswer();
    });
    await Promise.race([enough, this.#running]);
  }

  /** Waits for a time, in ms. Rejects as `answered` does. */
  async during(milliseconds: number): Promise<void> {
    await Promise.race([sleep(milliseconds), this.#running]);
  }

  /** Stops publishing. Resolves when the calls in flight have ended. Rejects as `answered` does. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** Publishes one message to each feed, retried until it is answered. A reader that has these has all messages before. */
  async publishLast(): Promise<Publish[]> {
    const destinations = this.#destinations.filter(({ feeds }) => feeds.length === 1);
    const requests = destinations.map((destination, index) => this.#request(destination, `end-${index}`));
    await this.#publish(0, requests, true);
    return this.publishes.slice(-destinations.length);
  }

  async #run(caller: number): Promise<void> {
    for (let call = 0; !this.#stopped; call++) {
      const count = Math.random() < 0.5 ? 1 : Math.ceil(Math.random() * this.#maxPerBatch);
      await this.#pace(count);
      const requests = Array.from({ length: count }, (_, index) =>
        this.#request(this.#pickDestination(), `${caller}-${call}-${index}`),
      );
      await this.#publish(caller, requests, false);
    }
  }

  #pickDestination(): Destination {
    const forAll = Math.random() < this.#shareForAll;
    const destinations = this.#destinations.filter(({ isForAll }) => isForAll === forAll);
    return destinations[Math.floor(Math.random() * destinations.length)] as Destination;
  }

  /** Waits until `count` messages are due. Missed messages are made up for, up to `maxBehindMs`. */
  async #pace(count: number): Promise<void> {
    const now = performance.now();
    const at = Math.max(now - maxBehindMs, this.#nextAt);
    this.#nextAt = at + count / this.#perMs;
    if (at > now) await sleep(at - now);
  }

  #request({ audience, kind, feeds }: Destination, key: string): PublishInit {
    this.publishes.push({ key, feeds, at: performance.now() });
    const tenantId = feeds.includes("everyone") ? "" : this.#tenant;
    return {
      tenantId,
      ...(audience ? { audience } : {}),
      requestId: key,
      message: { kind, title: key, content: "x".repeat(200) },
    };
  }

  async #publish(caller: number, requests: PublishInit[], untilAnswered: boolean): Promise<void> {
    const keyless = !untilAnswered && Math.random() < keylessShare;
    const once = keyless || (!untilAnswered && Math.random() < noRetryShare);
    const sent = keyless ? requests.map((request) => ({ ...request, requestId: "" })) : requests;
    for (let attempt = 0; ; attempt++) {
      const at = performance.now();
      try {
        await this.#call(caller + attempt, sent, requests);
        return;
      } catch (error) {
        const code = retryableCode(error);
        if (code === undefined) throw error;
        const hasRetryInfo = error instanceof ConnectError && error.findDetails(RetryInfoSchema).length > 0;
        this.failures.push({ code, at, tookMs: performance.now() - at, hasRetryInfo });
        if (once) return;
        // Short, although the server may be starting: a refused attempt costs less than a wait that is too long.
        await sleep(10 + Math.random() * 40);
      }
    }
  }

  async #call(client: number, sent: readonly PublishInit[], requests: readonly PublishInit[]): Promise<void> {
    this.calls++;
    const { publish, publishBatch } = this.#clients[client % this.#clients.length] as Client<typeof PushService>;
    const options = { headers: this.#headers, timeoutMs: callTimeoutMs };
    const [only] = sent;
    if (sent.length === 1 && only) return this.#record([await publish(only, options)], requests);
    const { outcomes } = await publishBatch({ requests: [...sent] }, options);
    const answers = outcomes.map(({ result }) => {
      if (result.case === "ok") return result.value;
      throw new Error(`an item of a batch was refused: ${result.value?.message}`);
    });
    this.#record(answers, requests);
  }

  #record(answers: readonly { messageId: string; duplicate: boolean }[], requests: readonly PublishInit[]): void {
    if (answers.length !== requests.length) throw new Error(`${requests.length} publishes, ${answers.length} answers`);
    const at = performance.now();
    for (const [index, { messageId, duplicate }] of answers.entries()) {
      this.answers.push({ key: requests[index]?.message?.title ?? "", id: messageId, at });
      if (duplicate) this.duplicates++;
    }
    this.#onAnswer();
  }
}

/** The number of failed calls, in total and by code. */
export function countCodes(failures: readonly Failure[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = { "calls that failed": failures.length };
  for (const { code } of failures) {
    const name = `calls that failed with ${code}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** The name of an error after which the effect of a publish is unknown; undefined for any other error. */
function retryableCode(error: unknown): string | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  // Connect's client reports a broken pipe as INTERNAL with a cause. An INTERNAL from a server has no cause.
  const { code, message } = (error.cause ?? {}) as NodeJS.ErrnoException;
  if (error.code === Code.Internal) return code === "ERR_HTTP2_STREAM_ERROR" ? message.split(" ").at(-1) : code;
  return retryable.has(error.code) ? Code[error.code] : undefined;
}
