/**
 * The writing half of the Durable Streams protocol, which its conformance suite needs to test the reading half. A stream is a
 * room: each write is published, and GET and HEAD go to the server as they are. Their answers come back as they are, except that
 * each Message of the room becomes the text or JSON that was written.
 */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestServer } from "../support/server.ts";

/** The answers of a server that are about the bytes of a message, and not about messages. */
const ofBytes: ReadonlySet<string> = new Set(["content-length", "transfer-encoding", "connection", "keep-alive"]);

interface Stream {
  readonly contentType: string;
  readonly room: string;
}

/** A message whose payload holds a write: JSON, or bytes in base64. */
interface Written {
  readonly json: { readonly value: unknown };
}

/** A server that has both halves. */
export class DurableStreamsWriter {
  readonly url: string;
  readonly #server: ReturnType<typeof createServer>;
  readonly #target: TestServer;
  readonly #token: string;
  readonly #streams = new Map<string, Stream>();
  #rooms = 0;

  private constructor(server: ReturnType<typeof createServer>, target: TestServer, token: string) {
    this.#server = server;
    this.#target = target;
    this.#token = token;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (asked, answer) => {
      this.#serve(asked, answer).catch((error: unknown) => {
        if (answer.headersSent) answer.destroy();
        else answer.writeHead(500).end(String(error));
      });
    });
  }

  /** Starts it in front of a server. `token` is that of a service. */
  static async start(target: TestServer, token: string): Promise<DurableStreamsWriter> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new DurableStreamsWriter(server, target, token);
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  async #serve(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const [path = "", query] = (asked.url ?? "").split("?", 2);
    if (asked.method === "OPTIONS") return this.#forward(asked, answer, { contentType: "", room: "any" }, query);
    if (asked.method === "PUT") return this.#create(asked, answer, path);
    const stream = this.#streams.get(path);
    if (!stream) return void answer.writeHead(404).end();
    if (asked.method === "GET" || asked.method === "HEAD") return this.#forward(asked, answer, stream, query);
    if (asked.method === "POST") return this.#append(asked, answer, stream);
    this.#streams.delete(path);
    answer.writeHead(204).end();
  }

  async #create(asked: IncomingMessage, answer: ServerResponse, path: string): Promise<void> {
    const { "content-type": contentType = "application/octet-stream" } = asked.headers;
    const isNew = !this.#streams.has(path);
    const stream = this.#streams.get(path) ?? { contentType, room: `stream/${++this.#rooms}` };
    this.#streams.set(path, stream);
    if (isNew) await this.#publish(stream, await bodyOf(asked));
    await this.#written(answer, isNew ? 201 : 200, stream);
  }

  async #append(asked: IncomingMessage, answer: ServerResponse, stream: Stream): Promise<void> {
    await this.#publish(stream, await bodyOf(asked));
    await this.#written(answer, 204, stream);
  }

  async #written(answer: ServerResponse, status: number, stream: Stream): Promise<void> {
    const head = await this.#ask("HEAD", `/stream/room/${encodeURIComponent(stream.room)}`, {});
    head.resume();
    const offset = String(head.headers["stream-next-offset"]);
    answer.writeHead(status, { "stream-next-offset": offset, "content-type": stream.contentType }).end();
  }

  async #publish({ contentType, room }: Stream, body: Buffer): Promise<void> {
    if (body.length === 0) return;
    const isJson = contentType.startsWith("application/json");
    const parsed: unknown = isJson ? JSON.parse(body.toString()) : [body.toString("base64")];
    const values: readonly unknown[] = Array.isArray(parsed) ? parsed : [parsed];
    if (values.length === 0) return;
    const requests = values.map((value) => ({
      audience: { roomId: room },
      message: { kind: "KIND_NOTIFICATION", json: { value } },
    }));
    const response = await fetch(`${this.#target.url}/tidings.v1.PushService/PublishBatch`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/json" },
      body: JSON.stringify({ requests }),
    });
    if (response.status !== 200) throw new Error(await response.text());
  }

  async #forward(asked: IncomingMessage, answer: ServerResponse, stream: Stream, query?: string): Promise<void> {
    const path = `/stream/room/${encodeURIComponent(stream.room)}${query === undefined ? "" : `?${query}`}`;
    const response = await this.#ask(asked.method ?? "GET", path, asked.headers, answer);
    const { statusCode = 500, headers } = response;
    const type = headers["content-type"];
    const kept = Object.fromEntries(Object.entries(headers).filter(([name]) => !ofBytes.has(name)));
    const isContent = statusCode === 200 && type === "application/json";
    answer.writeHead(statusCode, { ...kept, ...(isContent ? { "content-type": stream.contentType } : {}) });
    if (statusCode === 200 && type === "text/event-stream") {
      answer.flushHeaders();
      await eventsOf(response, answer, stream);
      return;
    }
    const body = await bodyOf(response);
    answer.end(isContent && asked.method === "GET" ? contentOf(stream, body.toString()) : body);
  }

  #ask(method: string, path: string, headers: IncomingHttpHeaders, answer?: ServerResponse): Promise<IncomingMessage> {
    const { host: _, ...rest } = headers;
    const all = { ...rest, authorization: `Bearer ${this.#token}` };
    const asking = request(`${this.#target.url}${path}`, { method, headers: all, agent: false }).end();
    answer?.on("close", () => asking.destroy());
    return new Promise((resolve, reject) => asking.on("response", resolve).on("error", reject));
  }
}

/** Returns the writes that the messages of an answer hold. */
function contentOf({ contentType }: Stream, messages: string): string | Buffer {
  const values = (JSON.parse(messages) as Written[]).map(({ json }) => json.value);
  if (contentType.startsWith("application/json")) return JSON.stringify(values);
  return Buffer.concat(values.map((value) => Buffer.from(String(value), "base64")));
}

/** Passes the events of an answer on, each as it comes. */
async function eventsOf(response: IncomingMessage, answer: ServerResponse, stream: Stream): Promise<void> {
  let text = "";
  for await (const chunk of response) {
    text += chunk;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const isData = lines.includes("event: data");
      const passed = lines.flatMap((line) => {
        if (!isData || !line.startsWith("data:")) return [line];
        const content = contentOf(stream, line.slice("data:".length)).toString();
        return content.split(/\r\n|\n|\r/).map((each) => `data:${each}`);
      });
      answer.write(`${passed.join("\n")}\n\n`);
    }
  }
  answer.end();
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
