/** What a server says and does while its embedded store cannot be used, and when it never can be again. */
import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.ts";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { scrape } from "../support/figures.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";
import { makeFolder } from "../support/store-sqlite.ts";

let root: string;
let folder: string;
let server: TestServer;
/** Lines of the log, as level and text. */
let log: string[];
/** The latest thread of the store. */
let thread: Worker | undefined;

beforeEach(async () => {
  root = makeFolder();
  folder = join(root, "data");
  log = [];
  const post = Worker.prototype.postMessage;
  vi.spyOn(Worker.prototype, "postMessage").mockImplementation(function (this: Worker, ...args) {
    thread = this;
    return post.apply(this, args);
  });
  const stream = { write: (line: string) => log.push(`${JSON.parse(line).level} ${JSON.parse(line).msg}`) };
  server = await startServer({
    data: folder,
    metrics: true,
    metricsAddress: { port: 0 },
    logger: pino({ level: "info" }, stream),
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await server.stop();
  rmSync(root, { recursive: true, force: true });
});

const probe = async (path: string) => {
  const response = await fetch(server.url + path);
  return `${response.status} ${(await response.text()).trim()}`;
};
const serving = async (service: string) => {
  const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
  return (await client.check({ service })).status;
};
const becomes = (path: string, answer: string) => expect.poll(() => probe(path), { timeout: 15_000 }).toBe(answer);

describe("A server whose data folder is removed", () => {
  const publish = (tenant: string) =>
    server.client({ tenant, role: "service" }).publish({
      audience: { to: { case: "userId", value: "ann" } },
      message: { kind: Kind.NOTIFICATION },
    });

  test("is not ready and refuses to publish, but lives and lists, until the folder is back", async () => {
    const tenant = newTenant();
    await publish(tenant);
    await server.client({ tenant }).listMessages({});
    renameSync(folder, `${folder}-aside`);
    await becomes("/readyz", "503 the store cannot be used");
    expect(await probe("/livez")).toBe("200 ok");
    expect([await serving(""), await serving("tidings.v1.PushService")]).toEqual(Array(2).fill(Status.NOT_SERVING));
    await expect(publish(tenant)).rejects.toThrow("[unavailable] the store did not answer");
    expect((await server.client({ tenant }).listMessages({})).messages).toHaveLength(1);
    expect((await scrape(server.metricsUrl)).value("tidings_store_usable")).toBe(0);
    expect(log).toContain(
      `50 data folder ${folder} was removed or replaced while it was in use; put it back, or restart`,
    );

    renameSync(`${folder}-aside`, folder);
    await becomes("/readyz", "200 ok");
    expect([await serving(""), await serving("tidings.v1.PushService")]).toEqual(Array(2).fill(Status.SERVING));
    await publish(tenant);
    expect(log).toContain("30 the store is usable again");
    expect((await scrape(server.metricsUrl)).value("tidings_store_usable")).toBe(1);
  });
});

describe("A server whose store's thread dies", () => {
  test("is ready again at once, with streams that stayed open", async () => {
    const tenant = newTenant();
    const events = server.client({ tenant }).subscribe({})[Symbol.asyncIterator]();
    const until = async (name: string) => {
      for (;;) {
        const { value, done } = await events.next();
        if (done) throw new Error("the stream has ended");
        if (value.event.case === name) return;
      }
    };
    await until("caughtUp");
    await thread?.terminate();
    await expect
      .poll(async () => (await scrape(server.metricsUrl)).value("tidings_store_restarts_total"), { timeout: 15_000 })
      .toBe(1);
    await becomes("/readyz", "200 ok");
    await server.client({ tenant, role: "service" }).publish({
      audience: { to: { case: "userId", value: "ann" } },
      message: { kind: Kind.NOTIFICATION },
    });
    await until("message");
    await events.return?.();
  });

  test("and cannot be restarted is not alive, says why, and tells its owner", async () => {
    rmSync(folder, { recursive: true });
    await thread?.terminate();
    const { message } = await server.tidings.failed;
    expect(message).toMatch(/^the store's thread died and cannot be restarted: data folder .+ was removed or replaced/);
    expect([await probe("/livez"), await probe("/healthz"), await probe("/readyz")]).toEqual(
      Array(3).fill("503 the store has failed"),
    );
    expect(log).toContain(`60 ${message}`);
    expect(existsSync(folder)).toBe(false);
  });
});
