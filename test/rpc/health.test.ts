import { Code, ConnectError } from "@connectrpc/connect";
import { type Client, type ClientReadableStream, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createHealth, type Health } from "../../src/rpc/health.ts";
import { root, run } from "../support/run.ts";
import { loadClient, reader, serve, type TestServer } from "./server.ts";

type Answer = { status: string };
type Callback<T> = (error: ServiceError | null, answer: T) => void;
interface HealthClient {
  check(request: { service: string }, callback: Callback<Answer>): void;
  list(request: object, callback: Callback<{ statuses: Record<string, Answer> }>): void;
  watch(request: { service: string }): ClientReadableStream<Answer>;
}

const service = "tidings.v1.PushService";
let health: Health;
let server: TestServer;
let client: HealthClient & Client;

beforeEach(async () => {
  health = createHealth([service]);
  server = await serve(health.routes);
  client = loadClient(
    "node_modules/grpc-health-check/proto/health/v1/health.proto",
    "grpc.health.v1.Health",
    server.host,
  );
});

afterEach(async () => {
  client.close();
  await server.close();
});

function check(name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    client.check({ service: name }, (error, answer) => (error ? reject(error) : resolve(answer.status)));
  });
}

function list(): Promise<Record<string, Answer>> {
  return new Promise((resolve, reject) => {
    client.list({}, (error, answer) => (error ? reject(error) : resolve(answer.statuses)));
  });
}

/** Reads the statuses of a watch; its stream ends with the test's client. */
function watch(name: string): { next: () => Promise<string>; stream: ClientReadableStream<Answer> } {
  const stream = client.watch({ service: name });
  const next = reader(stream);
  return { next: async () => (await next()).status, stream };
}

describe("Check and List", () => {
  test("return the status of the server as a whole and of each service", async () => {
    expect(await check("")).toBe("SERVING");
    expect(await check(service)).toBe("SERVING");
    health.set(service, false);
    expect(await check(service)).toBe("NOT_SERVING");
    expect(await check("")).toBe("SERVING");
    expect(await list()).toEqual({ "": { status: "SERVING" }, [service]: { status: "NOT_SERVING" } });
  });

  test("refuse an unknown service with NOT_FOUND", async () => {
    await expect(check("no.Such")).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  test("refuse a name of 5,000 characters before they read it", async () => {
    await expect(check("x".repeat(5000))).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });

  test("serve buf curl over the Connect protocol", async () => {
    const schema = [
      "--schema",
      "node_modules/grpc-health-check/proto/health/v1",
      "--protocol",
      "connect",
      "--http2-prior-knowledge",
    ];
    const printed = await run(
      `${root}/node_modules/.bin/buf`,
      "curl",
      ...schema,
      "-d",
      "{}",
      `http://${server.host}/grpc.health.v1.Health/Check`,
    );
    expect(JSON.parse(printed)).toEqual({ status: "SERVING" });
  });
});

describe("Watch", () => {
  test("sends the status at once, then on changes only", async () => {
    const { next } = watch(service);
    expect(await next()).toBe("SERVING");
    health.set(service, true);
    health.set("", false);
    health.set(service, false);
    expect(await next()).toBe("NOT_SERVING");
    health.set(service, true);
    expect(await next()).toBe("SERVING");
  });

  test("skips a change that was undone before it could be sent", async () => {
    const { next } = watch(service);
    expect(await next()).toBe("SERVING");
    for (let i = 0; i < 10_000; i++) health.set(service, i % 2 === 0);
    expect(await next()).toBe("NOT_SERVING");
    health.set(service, true);
    expect(await next()).toBe("SERVING");
  });

  test("sends SERVICE_UNKNOWN for an unknown service, and continues", async () => {
    const { next } = watch("later.Service");
    expect(await next()).toBe("SERVICE_UNKNOWN");
    health.set("later.Service", true);
    expect(await next()).toBe("SERVING");
  });

  test("notifies every watcher of a change, also after one of them has left", async () => {
    const leaver = watch(service);
    const watchers = [watch(service), watch(service), watch("")];
    for (const { next } of [leaver, ...watchers]) expect(await next()).toBe("SERVING");
    leaver.stream.on("error", () => {});
    leaver.stream.cancel();
    health.shutdown();
    for (const { next } of watchers) expect(await next()).toBe("NOT_SERVING");
  });

  test("ends when the server shuts down, with the error of the shutdown", async () => {
    const { next } = watch(service);
    expect(await next()).toBe("SERVING");
    server.shutdown(new ConnectError("draining", Code.Unavailable));
    await expect(next()).rejects.toMatchObject({ code: status.UNAVAILABLE, details: "draining" });
  });

  test("ends at once when the server has already shut down", async () => {
    server.shutdown(new ConnectError("draining", Code.Unavailable));
    const { next } = watch(service);
    await expect(next()).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });
});

test("Health stays NOT_SERVING after a shutdown", async () => {
  health.shutdown();
  health.set(service, true);
  health.set("later.Service", true);
  expect(await list()).toEqual({ "": { status: "NOT_SERVING" }, [service]: { status: "NOT_SERVING" } });
});
