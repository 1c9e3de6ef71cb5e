import { createContextValues, createHandlerContext } from "@connectrpc/connect";
import { type Client, type ClientReadableStream, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import type { fail } from "../../src/errors.ts";
import { type ConnectionHandle, connectionKey } from "../../src/http/adapter.ts";
import { systemRandom } from "../../src/ports/clock.ts";
import { createHealth } from "../../src/rpc/health.ts";
import { PublicStreams } from "../../src/rpc/public-streams.ts";
import { FakeClock } from "../support/clock.ts";
import { startServer, type TestServer as TidingsServer } from "../support/server.ts";
import { loadClient, serve, type TestServer } from "./server.ts";

type Answer = { status: string };
interface HealthClient {
  check(request: { service: string }, callback: (error: ServiceError | null, answer: Answer) => void): void;
  watch(request: { service: string }, metadata?: Metadata): ClientReadableStream<Answer>;
}

const proto = "node_modules/grpc-health-check/proto/health/v1/health.proto";
const clients: Client[] = [];
const open: ClientReadableStream<Answer>[] = [];

/** A client with a connection of its own, also where others are connected to the same address. */
function connect(host: string): HealthClient & Client {
  const client = loadClient<HealthClient>(proto, "grpc.health.v1.Health", host, {
    "grpc.use_local_subchannel_pool": 1,
  });
  clients.push(client);
  return client;
}

/** Opens a watch; resolves to `open` with its first status, to the name of the code that refuses it, or to `reset`. */
function watch(client: HealthClient, address = "192.0.2.9"): Promise<string> {
  const metadata = new Metadata();
  metadata.set("x-forwarded-for", address);
  const stream = client.watch({ service: "" }, metadata);
  open.push(stream);
  return new Promise((resolve) => {
    stream.once("data", () => resolve("open"));
    stream.on("error", (error: ServiceError) =>
      resolve(/Bandwidth exhausted/.test(error.details) ? "reset" : String(status[error.code])),
    );
  });
}

/** Opens watches one after another, and returns their outcomes. */
async function watches(client: HealthClient, count: number, address?: string): Promise<string[]> {
  const outcomes: string[] = [];
  for (let index = 0; index < count; index++) outcomes.push(await watch(client, address));
  return outcomes;
}

function check(client: HealthClient): Promise<string> {
  return new Promise((resolve, reject) =>
    client.check({ service: "" }, (error, answer) => (error ? reject(error) : resolve(answer.status))),
  );
}

const opened = (count: number) => Array.from({ length: count }, () => "open");
const refusal = "RESOURCE_EXHAUSTED";

/** Before the servers stop, which otherwise wait for the clients, as these do for their streams. */
function disconnect(): void {
  for (const stream of open.splice(0)) stream.cancel();
  for (const client of clients.splice(0)) client.close();
}

describe("Streams without a token", () => {
  let server: TidingsServer;

  afterEach(async () => {
    disconnect();
    await server.stop();
  });

  test("are limited to a tenth of the node's for each connection, and their end makes room", async () => {
    server = await startServer({ publicStreams: 150 });
    const client = connect(server.host);
    expect(await watches(client, 16)).toEqual([...opened(15), refusal]);
    expect(await watch(connect(server.host))).toBe("open");
    client.close();
    await expect.poll(async () => watches(connect(server.host), 15)).toEqual(opened(15));
  });

  test("are open to 50 clients behind one connection of a proxy", async () => {
    server = await startServer({});
    expect(await watches(connect(server.host), 50)).toEqual(opened(50));
  });

  test("are limited to a tenth of the node's for each address", async () => {
    server = await startServer({ publicStreams: 150, trustedProxies: ["127.0.0.1"] });
    const from = (address: string, count: number) => watches(connect(server.host), count, address);
    expect(await from("192.0.2.1", 10)).toEqual(opened(10));
    expect(await from("192.0.2.1", 6)).toEqual([...opened(5), refusal]);
    expect(await from("192.0.2.2", 1)).toEqual(opened(1));
  });

  test("are reset without an answer after ten refusals of their connection, where Check still answers", async () => {
    server = await startServer({ publicStreams: 1 });
    const client = connect(server.host);
    expect(await watches(client, 12)).toEqual(["open", ...Array.from({ length: 10 }, () => refusal), "reset"]);
    expect(await check(client)).toBe("SERVING");
    expect(await watches(connect(server.host), 1)).toEqual([refusal]);
  });

  test("are limited for the node, where Check still answers", async () => {
    server = await startServer({ publicStreams: 3 });
    const client = connect(server.host);
    expect(await watches(client, 4)).toEqual([...opened(3), refusal]);
    expect(await check(client)).toBe("SERVING");
  });

  test.each([
    ["connect", "application/connect+json", "/grpc.health.v1.Health/Watch"],
    ["grpc-web", "application/grpc-web+json", "/grpc.health.v1.Health/Watch"],
  ])("are refused over %s and HTTP/1.1 with the limit and a delay", async (protocol, contentType, path) => {
    server = await startServer({ publicStreams: 1 });
    expect(await watch(connect(server.host))).toBe("open");
    const body = Buffer.concat([Buffer.from([0, 0, 0, 0, 2]), Buffer.from("{}")]);
    const response = await fetch(`${server.url}${path}`, {
      method: "POST",
      headers: { "content-type": contentType },
      body,
    });
    const text = await response.text();
    if (protocol === "connect") {
      const { error } = JSON.parse(text.slice(5)) as { error: { code: string; details: { debug?: object }[] } };
      expect(error.code).toBe("resource_exhausted");
      const details = error.details.map(({ debug }) => debug);
      expect(details).toContainEqual(
        expect.objectContaining({ reason: "TOO_MANY_STREAMS", metadata: { option: "publicStreams", limit: "1" } }),
      );
      expect(details).toContainEqual({ retryDelay: expect.stringMatching(/^[5-9](\.\d+)?s$|^10s$/) });
    } else {
      expect(text + (response.headers.get("grpc-status") ?? "")).toMatch(/grpc-status: 8|^8$/);
    }
  });
});

describe("A stream without a token whose time is up", () => {
  let clock: FakeClock;
  let streams: PublicStreams;
  let refused: ReturnType<typeof fail>[];

  beforeEach(() => {
    clock = new FakeClock();
    refused = [];
    streams = new PublicStreams({ perNode: 5, clock, random: systemRandom, refused: (error) => refused.push(error) });
  });

  /** The context of a call, and the function that ends it. */
  function call(handle?: Partial<ConnectionHandle>) {
    const contextValues = createContextValues();
    if (handle)
      contextValues.set(connectionKey, { connection: {}, address: () => "192.0.2.1", ...handle } as ConnectionHandle);
    return createHandlerContext({
      service: Health,
      method: Health.method.watch,
      protocolName: "grpc",
      requestMethod: "POST",
      url: "http://x/",
      contextValues,
    });
  }

  test("ends, and is cut 5 s later when its peer does not let it end", async () => {
    let cuts = 0;
    const signal = streams.begin(call({ destroy: () => cuts++ }), 60_000);
    await clock.advance(59_999);
    expect(signal.aborted).toBe(false);
    await clock.advance(1);
    expect([signal.aborted, cuts, streams.open]).toEqual([true, 0, 1]);
    await clock.advance(5_000);
    expect(cuts).toBe(1);
  });

  test("makes room on a connection whose calls were reset, too, such as that of a proxy", async () => {
    const connection = {};
    const path = "/grpc.health.v1.Health/Watch";
    const contexts = Array.from({ length: 5 }, () => call({ connection }));
    for (const context of contexts) streams.begin(context, 60_000);
    for (let refusal = 1; refusal <= 10; refusal++) {
      expect(streams.resets(path, connection)).toBe(false);
      expect(() => streams.begin(call({ connection }), 60_000)).toThrow();
    }
    expect(streams.resets(path, connection)).toBe(true);
    for (const context of contexts) context.abort();
    await clock.advance(1_000);
    expect(streams.resets(path, connection)).toBe(false);
    streams.begin(call({ connection }), 60_000);
  });

  test("leaves neither a count nor a timer behind", async () => {
    const contexts = Array.from({ length: 5 }, () => call());
    for (const context of contexts) streams.begin(context, 60_000);
    expect(() => streams.begin(call(), 60_000)).toThrow(/too many streams without a token/);
    expect(refused).toHaveLength(1);
    for (const context of contexts) context.abort();
    expect([streams.open, clock.pending]).toEqual([0, 0]);
    streams.begin(call(), 60_000);
  });

  describe("over gRPC", () => {
    let server: TestServer;

    afterEach(async () => {
      disconnect();
      await server.close();
    });

    test("is a watch that ends without an error", async () => {
      server = await serve(createHealth([], streams).routes);
      const stream = connect(server.host).watch({ service: "" });
      await new Promise((resolve) => stream.once("data", resolve));
      const ended = new Promise<number>((resolve) => stream.once("status", ({ code }) => resolve(code)));
      await clock.advance(3_600_000);
      expect(await ended).toBe(status.OK);
      await expect.poll(() => streams.open).toBe(0);
    });
  });
});
