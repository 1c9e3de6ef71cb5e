/** Readers that stop reading while much is sent to them. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { WebSocket } from "ws";
import {
  BridgeFrameSchema,
  Kind,
  type Position,
  PushService,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "../../src/gen.ts";
import { ServerProcess, tokenFor } from "./server-process.ts";

/** The result of a run. */
export interface SlowReaderReport {
  /** The largest growth of the server's memory during the run, in bytes. */
  readonly growthBytes: number;
  /** The time from the last publish until all slow readers were cut, in ms. */
  readonly cutAfterMs: number;
  /** The seqs of the tenant's feed that each reader has received in the end, over all of its streams. */
  readonly received: Readonly<Record<string, readonly number[]>>;
  /** The number of streams that each reader opened. */
  readonly streams: Readonly<Record<string, number>>;
  /** The number of messages. */
  readonly sent: number;
  /** The server's log. */
  readonly log: string;
}

const messages = 700;
/** Random bytes, because the server compresses messages. */
const incompressible = randomBytes(60_000);
const perBatch = 10;
const transports = ["connect", "grpc", "ws"] as const;

/** Sends 42 MB to readers that do not read, `slowPerTransport` over each transport, and to one over each that does. */
export async function runSlowReaders(stallMs: number, slowPerTransport: number): Promise<SlowReaderReport> {
  const folder = mkdtempSync(join(tmpdir(), "tidings-slow-"));
  const server = new ServerProcess({ data: folder, "stall-timeout": `${stallMs}ms` });
  const slow: Reader[] = [];
  const fast: Reader[] = [];
  try {
    const url = await server.ready;
    for (const transport of transports) {
      for (let number = 1; number <= slowPerTransport; number++) {
        slow.push(new Reader(`slow ${number} over ${transport}`, transport, url, await userToken("slow")));
      }
      fast.push(new Reader(`fast over ${transport}`, transport, url, await userToken("fast")));
    }
    const service = await tokenFor({ sub: "load", tenant: "acme", role: "service" });
    const client = createClient(PushService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
    await Promise.all([...slow, ...fast].map((reader) => reader.start()));
    const reading = fast.map((reader) => reader.readTo(messages));
    const before = server.residentBytes;
    let peak = 0;
    for (let sent = 0; sent < messages; sent += perBatch) {
      await publish(client, service);
      peak = Math.max(peak, server.residentBytes);
    }
    const publishedAt = performance.now();
    await Promise.all(reading);
    while ((await connectionsOf("slow", client, service)) > 0) peak = Math.max(peak, server.residentBytes);
    const cutAfterMs = performance.now() - publishedAt;
    await Promise.all(slow.map((reader) => reader.readTo(messages)));
    const all = [...slow, ...fast];
    return {
      growthBytes: peak - before,
      cutAfterMs,
      received: Object.fromEntries(all.map(({ name, seqs }) => [name, seqs])),
      streams: Object.fromEntries(all.map(({ name, streams }) => [name, streams])),
      sent: messages,
      log: server.log,
    };
  } finally {
    for (const reader of [...slow, ...fast]) reader.close();
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

function userToken(sub: string): Promise<string> {
  return tokenFor({ sub, tenant: "acme", role: "user" });
}

async function publish(client: Client<typeof PushService>, token: string): Promise<void> {
  const payload = { case: "binary", value: incompressible } as const;
  const request = {
    audience: { to: { case: "tenant", value: true } },
    message: { kind: Kind.NOTIFICATION, payload },
  } as const;
  const headers = { authorization: `Bearer ${token}` };
  const { outcomes } = await client.publishBatch({ requests: Array(perBatch).fill(request) }, { headers });
  if (outcomes.some(({ result }) => result.case !== "ok")) throw new Error("a publish was refused");
}

async function connectionsOf(user: string, client: Client<typeof PushService>, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  const request = { scope: { case: "users" as const, value: { userIds: [user] } } };
  return (await client.onlineCount(request, { headers })).connections;
}

/** A reader that takes one event at a time, only when asked, and resumes after its last event when it was cut. */
class Reader {
  readonly name: string;
  readonly seqs: number[] = [];
  streams = 0;
  readonly #open: (positions: readonly Position[]) => AsyncGenerator<SubscribeResponse>;
  readonly #abort = new AbortController();
  #positions: readonly Position[] = [];
  #stream: AsyncGenerator<SubscribeResponse> | undefined;

  constructor(name: string, transport: (typeof transports)[number], url: string, token: string) {
    this.name = name;
    const { signal } = this.#abort;
    this.#open = (positions) =>
      transport === "ws"
        ? openSocket(url, token, positions, signal)
        : openRpc(transport, url, token, positions, signal);
  }

  /** Opens a stream and reads until it has caught up. */
  async start(): Promise<void> {
    while ((await this.#next()) !== "caughtUp");
  }

  /** Reads until it has `count` messages, and reconnects as often as needed. */
  async readTo(count: number): Promise<void> {
    while (this.seqs.length < count) {
      try {
        await this.#next();
      } catch {
        this.#stream = undefined;
      }
    }
  }

  close(): void {
    this.#abort.abort();
  }

  async #next(): Promise<string | undefined> {
    if (!this.#stream) {
      this.#stream = this.#open(this.#positions);
      this.streams++;
    }
    const { done, value } = await this.#stream.next();
    if (done) throw new Error("the stream has ended");
    const { event } = value;
    if (event.case === "hello") this.#positions = event.value.positions;
    if (event.case === "message" && event.value.position) {
      const { position } = event.value;
      this.seqs.push(Number(position.seq));
      this.#positions = this.#positions.map((known) => (known.feed === position.feed ? position : known));
    }
    return event.case;
  }
}

async function* openRpc(
  transport: "connect" | "grpc",
  baseUrl: string,
  token: string,
  positions: readonly Position[],
  signal: AbortSignal,
): AsyncGenerator<SubscribeResponse> {
  const connectTransport =
    transport === "grpc" ? createGrpcTransport({ baseUrl }) : createConnectTransport({ baseUrl, httpVersion: "1.1" });
  yield* createClient(PushService, connectTransport).subscribe(
    { positions: [...positions] },
    { headers: { authorization: `Bearer ${token}` }, signal },
  );
}

/** The socket is paused after each frame until the consumer asks for the next one. */
async function* openSocket(
  url: string,
  token: string,
  positions: readonly Position[],
  signal: AbortSignal,
): AsyncGenerator<SubscribeResponse> {
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/ws`, "tidings.v1.proto");
  signal.addEventListener("abort", () => socket.terminate());
  const frames: Uint8Array[] = [];
  let closed = false;
  let wake = () => {};
  socket.on("message", (data) => {
    frames.push(data as Buffer);
    socket.pause();
    wake();
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
    wake();
  });
  await new Promise<void>((resolve) => socket.on("open", resolve));
  socket.send(openingFrame(token, positions));
  while (frames.length > 0 || !closed) {
    const frame = frames.shift();
    if (frame) yield fromBinary(SubscribeResponseSchema, frame);
    else {
      socket.resume();
      await new Promise<void>((resolve) => (wake = resolve));
    }
  }
}

function openingFrame(token: string, positions: readonly Position[]): Uint8Array {
  return toBinary(BridgeFrameSchema, create(BridgeFrameSchema, { token, subscribe: { positions: [...positions] } }));
}
