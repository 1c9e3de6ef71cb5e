/** Services that publish without end, repeat what was not answered, and write down every attempt and every answer. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { PushService } from "../../src/gen.ts";
import type { Answer, Publish } from "./history.ts";
import { type PublishInit, type Target, targetsFor } from "./targets.ts";

/** Errors that say nothing about the publish: the connection broke, or the server went. */
const passing = new Set([Code.Unavailable, Code.Canceled, Code.Aborted, Code.Unknown, Code.DeadlineExceeded]);
/** So many are not repeated when they fail: each may be there once, or not at all. */
const giveUpShare = 0.2;
/** So many carry no request id, and so may not be repeated. */
const keylessShare = 0.1;
const callTimeoutMs = 10_000;
/** Publishers that were held up try to keep their rate all the same. */
const mostBehindMs = 10_000;

/** What publishers publish, and where. */
export interface PublishersOptions {
  /** Each caller has one, and goes to the next one with what failed there. */
  readonly urls: readonly string[];
  /** Of a service that is bound to no tenant. */
  readonly token: string;
  readonly tenant: string;
  readonly users: readonly string[];
  /** Of all callers together. Default: as fast as they are answered. */
  readonly perSecond?: number;
  /** A call has up to so many. Default 20. */
  readonly mostPerBatch?: number;
  /** The share of publishes that each page receives. Default: each target has its turn alike. */
  readonly shareForAll?: number;
}

/** A call that failed, and may be repeated. */
export interface Failure {
  readonly code: string;
  readonly at: number;
  readonly tookMs: number;
  /** Whether the server said when to come back. */
  readonly hints: boolean;
}

/** All publishers of a run. */
export class Publishers {
  readonly publishes: Publish[] = [];
  readonly answers: Answer[] = [];
  readonly failures: Failure[] = [];
  /** Calls that were made, repetitions included. */
  calls = 0;
  /** Answers that told of an earlier attempt that had been stored without an answer. */
  duplicates = 0;
  readonly #clients: readonly Client<typeof PushService>[];
  readonly #tenant: string;
  readonly #headers: HeadersInit;
  readonly #targets: readonly Target[];
  readonly #shareForAll: number;
  readonly #perMs: number;
  readonly #mostPerBatch: number;
  #nextAt = 0;
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();
  #heard: () => void = () => {};

  constructor({ urls, token, tenant, users, perSecond, mostPerBatch, shareForAll }: PublishersOptions) {
    const transports = urls.map((baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" }));
    transports.push(...urls.map((baseUrl) => createGrpcTransport({ baseUrl })));
    this.#clients = transports.map((transport) => createClient(PushService, transport));
    this.#tenant = tenant;
    this.#headers = { authorization: `Bearer ${token}` };
    this.#targets = targetsFor(users);
    this.#shareForAll = shareForAll ?? this.#targets.filter(({ isForAll }) => isForAll).length / this.#targets.length;
    this.#perMs = (perSecond ?? Number.POSITIVE_INFINITY) / 1000;
    this.#mostPerBatch = mostPerBatch ?? 20;
  }

  /** Starts so many callers. */
  start(count: number): void {
    this.#nextAt = performance.now();
    this.#running = Promise.all(Array.from({ length: count }, (_, index) => this.#run(index)));
    // Whoever waits for answers or for the end is told.
    this.#running.catch(() => {});
  }

  /** Waits until so many publishes were answered. Rejects when a caller met what cannot pass. */
  async answered(count: number): Promise<void> {
    const enough = new Promise<void>((resolve) => {
      this.#heard = () => {
        if (this.answers.length >= count) resolve();
      };
      this.#heard();
    });
    await Promise.race([enough, this.#running]);
  }

  /** Waits for some time, in ms. Rejects as `answered` does. */
  async during(milliseconds: number): Promise<void> {
    await Promise.race([sleep(milliseconds), this.#running]);
  }

  /** Stops publishing once what is under way was answered or given up. Rejects as `answered` does. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** One message to each feed, repeated until it is there: whoever has these has all before them. */
  async markEnd(): Promise<Publish[]> {
    const ends = this.#targets.filter(({ feeds }) => feeds.length === 1);
    const requests = ends.map((target, index) => this.#request(target, `end-${index}`));
    await this.#publish(0, requests, true);
    return this.publishes.slice(-ends.length);
  }

  async #run(caller: number): Promise<void> {
    for (let turn = 0; !this.#stopped; turn++) {
      const count = Math.random() < 0.5 ? 1 : Math.ceil(Math.random() * this.#mostPerBatch);
      await this.#pace(count);
      const requests = Array.from({ length: count }, (_, index) =>
        this.#request(this.#target(), `${caller}-${turn}-${index}`),
      );
      await this.#publish(caller, requests, false);
    }
  }

  #target(): Target {
    const forAll = Math.random() < this.#shareForAll;
    const targets = this.#targets.filter(({ isForAll }) => isForAll === forAll);
    return targets[Math.floor(Math.random() * targets.length)] as Target;
  }

  /** What was not published in time is made up for, as far as it is of the last seconds. */
  async #pace(count: number): Promise<void> {
    const now = performance.now();
    const at = Math.max(now - mostBehindMs, this.#nextAt);
    this.#nextAt = at + count / this.#perMs;
    if (at > now) await sleep(at - now);
  }

  #request({ audience, kind, feeds }: Target, key: string): PublishInit {
    this.publishes.push({ key, feeds, at: performance.now() });
    const tenantId = feeds.includes("everyone") ? "" : this.#tenant;
    return {
      tenantId,
      ...(audience ? { audience } : {}),
      requestId: key,
      message: { kind, title: key, content: "x".repeat(200) },
    };
  }

  async #publish(caller: number, requests: PublishInit[], always: boolean): Promise<void> {
    const keyless = !always && Math.random() < keylessShare;
    const once = keyless || (!always && Math.random() < giveUpShare);
    const sent = keyless ? requests.map((request) => ({ ...request, requestId: "" })) : requests;
    for (let attempt = 0; ; attempt++) {
      const at = performance.now();
      try {
        await this.#call(caller + attempt, sent, requests);
        return;
      } catch (error) {
        const code = passingName(error);
        if (code === undefined) throw error;
        const hints = error instanceof ConnectError && error.findDetails(RetryInfoSchema).length > 0;
        this.failures.push({ code, at, tookMs: performance.now() - at, hints });
        if (once) return;
        // The server is starting: an attempt that is refused costs less than a wait that is too long.
        await sleep(10 + Math.random() * 40);
      }
    }
  }

  async #call(client: number, sent: readonly PublishInit[], requests: readonly PublishInit[]): Promise<void> {
    this.calls++;
    const { publish, publishBatch } = this.#clients[client % this.#clients.length] as Client<typeof PushService>;
    const options = { headers: this.#headers, timeoutMs: callTimeoutMs };
    const [only] = sent;
    if (sent.length === 1 && only) return this.#note([await publish(only, options)], requests);
    const { outcomes } = await publishBatch({ requests: [...sent] }, options);
    const answers = outcomes.map(({ result }) => {
      if (result.case === "ok") return result.value;
      throw new Error(`an item of a batch was refused: ${result.value?.message}`);
    });
    this.#note(answers, requests);
  }

  #note(answers: readonly { messageId: string; duplicate: boolean }[], requests: readonly PublishInit[]): void {
    if (answers.length !== requests.length) throw new Error(`${requests.length} publishes, ${answers.length} answers`);
    const at = performance.now();
    for (const [index, { messageId, duplicate }] of answers.entries()) {
      this.answers.push({ key: requests[index]?.message?.title ?? "", id: messageId, at });
      if (duplicate) this.duplicates++;
    }
    this.#heard();
  }
}

/** How many of each code. */
export function countCodes(failures: readonly Failure[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = { "calls that failed": failures.length };
  for (const { code } of failures) {
    const name = `calls that failed with ${code}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** The name of an error that says nothing about the publish; undefined for any other. */
function passingName(error: unknown): string | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  // Connect's client calls a broken pipe INTERNAL, and keeps the cause; what a server calls so comes without one.
  const { code, message } = (error.cause ?? {}) as NodeJS.ErrnoException;
  if (error.code === Code.Internal) return code === "ERR_HTTP2_STREAM_ERROR" ? message.split(" ").at(-1) : code;
  return passing.has(error.code) ? Code[error.code] : undefined;
}
