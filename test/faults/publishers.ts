/** Services that publish without end, repeat what was not answered, and write down every attempt and every answer. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { Kind, type PublishRequestSchema, PushService } from "../../src/gen.ts";
import type { Answer, Publish } from "./history.ts";

type PublishInit = Exclude<MessageInitShape<typeof PublishRequestSchema>, { $typeName: string }>;
type Target = Pick<PublishInit, "audience"> & { readonly kind: Kind; readonly feeds: readonly string[] };

/** Errors that say nothing about the publish: the connection broke, or the server went. */
const passing = new Set([Code.Unavailable, Code.Canceled, Code.Aborted, Code.Unknown, Code.DeadlineExceeded]);
/** So many are not repeated when they fail: each may be there once, or not at all. */
const giveUpShare = 0.2;
/** So many carry no request id, and so may not be repeated. */
const keylessShare = 0.1;
const mostPerBatch = 20;
const callTimeoutMs = 10_000;

/** All publishers of a run. */
export class Publishers {
  readonly publishes: Publish[] = [];
  readonly answers: Answer[] = [];
  /** Calls that failed, by code. */
  readonly failures = new Map<string, number>();
  /** Answers that told of an earlier attempt that had been stored without an answer. */
  duplicates = 0;
  readonly #clients: readonly Client<typeof PushService>[];
  readonly #tenantId: string;
  readonly #headers: HeadersInit;
  readonly #targets: readonly Target[];
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();
  #heard: () => void = () => {};

  /** `token`: of a service that is bound to no tenant. */
  constructor(baseUrl: string, token: string, tenantId: string, users: readonly string[]) {
    const connect = createConnectTransport({ baseUrl, httpVersion: "1.1" });
    this.#clients = [connect, createGrpcTransport({ baseUrl })].map((transport) =>
      createClient(PushService, transport),
    );
    this.#tenantId = tenantId;
    this.#headers = { authorization: `Bearer ${token}` };
    this.#targets = targetsFor(users);
  }

  /** Starts so many callers. */
  start(count: number): void {
    this.#running = Promise.all(Array.from({ length: count }, (_, index) => this.#run(index)));
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
      const count = Math.random() < 0.5 ? 1 : Math.ceil(Math.random() * mostPerBatch);
      const requests = Array.from({ length: count }, (_, index) => {
        const target = this.#targets[Math.floor(Math.random() * this.#targets.length)] as Target;
        return this.#request(target, `${caller}-${turn}-${index}`);
      });
      await this.#publish(caller, requests, false);
    }
  }

  #request({ audience, kind, feeds }: Target, key: string): PublishInit {
    this.publishes.push({ key, feeds });
    const tenantId = feeds.includes("everyone") ? "" : this.#tenantId;
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
    for (;;) {
      try {
        await this.#call(caller, sent, requests);
        return;
      } catch (error) {
        const name = passingName(error);
        if (name === undefined) throw error;
        this.failures.set(name, (this.failures.get(name) ?? 0) + 1);
        if (once) return;
        // The server is starting: an attempt that is refused costs less than a wait that is too long.
        await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 40));
      }
    }
  }

  async #call(caller: number, sent: readonly PublishInit[], requests: readonly PublishInit[]): Promise<void> {
    const client = this.#clients[caller % this.#clients.length] as Client<typeof PushService>;
    const options = { headers: this.#headers, timeoutMs: callTimeoutMs };
    const [only] = sent;
    if (sent.length === 1 && only) return this.#note([await client.publish(only, options)], requests);
    const { outcomes } = await client.publishBatch({ requests: [...sent] }, options);
    const answers = outcomes.map(({ result }) => {
      if (result.case === "ok") return result.value;
      throw new Error(`an item of a batch was refused: ${result.value?.message}`);
    });
    this.#note(answers, requests);
  }

  #note(answers: readonly { messageId: string; duplicate: boolean }[], requests: readonly PublishInit[]): void {
    if (answers.length !== requests.length) throw new Error(`${requests.length} publishes, ${answers.length} answers`);
    for (const [index, { messageId, duplicate }] of answers.entries()) {
      this.answers.push({ key: requests[index]?.message?.title ?? "", id: messageId });
      if (duplicate) this.duplicates++;
    }
    this.#heard();
  }
}

/** The name of an error that says nothing about the publish; undefined for any other. */
function passingName(error: unknown): string | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  // Connect's client calls a broken pipe INTERNAL, and keeps the cause; what a server calls so comes without one.
  const { code, message } = (error.cause ?? {}) as NodeJS.ErrnoException;
  if (error.code === Code.Internal) return code === "ERR_HTTP2_STREAM_ERROR" ? message.split(" ").at(-1) : code;
  return passing.has(error.code) ? Code[error.code] : undefined;
}

/** Every way to address a message, and the feeds that it ends up in. */
function targetsFor(users: readonly string[]): Target[] {
  const kind = Kind.NOTIFICATION;
  const feedOf = (user: string) => `user/${user}`;
  return [
    ...users.map((value): Target => ({ kind, audience: { to: { case: "userId", value } }, feeds: [feedOf(value)] })),
    { kind, audience: { to: { case: "users", value: { userIds: [...users] } } }, feeds: users.map(feedOf) },
    { kind, audience: { to: { case: "tenant", value: true } }, feeds: ["tenant"] },
    { kind: Kind.ACTIVITY, audience: { to: { case: "tenant", value: true } }, feeds: ["activity"] },
    { kind, audience: { to: { case: "everyone", value: true } }, feeds: ["everyone"] },
  ];
}
