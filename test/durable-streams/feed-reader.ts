/** A server, and a reader of its feeds over plain HTTP. */
import type { TestContext } from "vitest";
import { type Caller, newTenant, type ServerOptions, startServer, type TestServer } from "../support/server.ts";

/** An event of server-sent events. */
export interface ServerSent {
  readonly event: string;
  readonly data: string;
  readonly id: string;
  readonly retry: string;
}

/** A message in JSON, as far as tests look at it. */
export interface JsonMessage {
  readonly title?: string;
  readonly position: { readonly feed: string; readonly epoch: number; readonly seq: string };
}

/** Reads the events of a live answer. */
export interface EventReader {
  readonly response: Response;
  /** The next event; undefined at the end of the answer. */
  next(): Promise<ServerSent | undefined>;
  /** Closes the connection. */
  cancel(): void;
}

/** A server with a tenant of its own for each test. */
export class FeedServer {
  readonly server: TestServer;
  readonly tenant = newTenant();

  constructor(server: TestServer) {
    this.server = server;
  }

  static async start(onTestFinished: TestContext["onTestFinished"], options: ServerOptions = {}): Promise<FeedServer> {
    const server = await startServer(options);
    onTestFinished(() => server.stop());
    return new FeedServer(server);
  }

  token(caller: Omit<Caller, "tenant"> & { readonly tenant?: string } = {}): Promise<string> {
    return this.server.token({ tenant: this.tenant, ...caller });
  }

  /** Publishes notifications with these titles as a service, and returns their ids. */
  async publish(audience: object, ...titles: string[]): Promise<string[]> {
    const service = this.server.client({ tenant: this.tenant, role: "service" });
    const ids: string[] = [];
    for (const title of titles) {
      const to = Object.entries(audience).map(([name, value]) => ({ case: name, value }))[0];
      const { messageId } = await service.publish({ audience: { to: to as never }, message: { kind: 1, title } });
      ids.push(messageId);
    }
    return ids;
  }

  /** Ends the streams of a user, as a service. */
  async disconnect(userId: string): Promise<void> {
    const authorization = `Bearer ${await this.token({ role: "service" })}`;
    const response = await fetch(`${this.server.url}/tidings.v1.AdminService/Disconnect`, {
      method: "POST",
      headers: { authorization, "content-type": "application/json" },
      body: JSON.stringify({ userId }),
    });
    if (response.status !== 200) throw new Error(await response.text());
  }

  /** The value of a metric; the labels are a part of its line. Needs the option `metrics`. */
  async metric(name: string, labels: string): Promise<number> {
    const { text } = await this.server.tidings.metrics();
    const line = text.split("\n").find((each) => each.startsWith(`${name}{`) && each.includes(labels));
    return Number(line?.split(" ").at(-1));
  }

  /** The open streams over plain HTTP. Needs the option `metrics`. */
  async open(): Promise<number> {
    const [events, polls] = await Promise.all(
      ["sse", "long-poll"].map((transport) => this.metric("tidings_streams", `transport="${transport}"`)),
    );
    return (events ?? 0) + (polls ?? 0);
  }

  /** GET of a path as ann, unless `init` has other headers. */
  async get(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { authorization: `Bearer ${await this.token()}`, ...(init.headers as Record<string, string>) };
    return fetch(`${this.server.url}${path}`, { ...init, headers });
  }

  /** Reads a live answer. */
  async events(path: string, headers: Readonly<Record<string, string>> = {}): Promise<EventReader> {
    const abort = new AbortController();
    const response = await this.get(path, { headers, signal: abort.signal });
    const events = parseEvents(response);
    return {
      response,
      next: async () => (await events.next()).value as ServerSent | undefined,
      cancel: () => abort.abort(),
    };
  }
}

/** Titles of a page. */
export async function titlesOf(response: Response): Promise<(string | undefined)[]> {
  return ((await response.json()) as JsonMessage[]).map(({ title }) => title);
}

/** The reason of an error. */
export async function reasonIn(response: Response): Promise<string> {
  const { details } = (await response.json()) as { details: { debug: { reason?: string } }[] };
  return details.map(({ debug }) => debug.reason).find((reason) => reason !== undefined) ?? "";
}

/** Returns the offset header of an answer. */
export function nextOffset(response: Response): string {
  return response.headers.get("stream-next-offset") ?? "";
}

async function* parseEvents(response: Response): AsyncGenerator<ServerSent> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name: string) =>
        lines
          .filter((line) => line.startsWith(`${name}:`))
          .map((line) => line.slice(name.length + 1).replace(/^ /, ""))
          .join("\n");
      yield { event: field("event"), data: field("data"), id: field("id"), retry: field("retry") };
    }
  }
}
