/** The metrics of a real server after a known sequence of events. */
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { PushService, type SubscribeResponse } from "../../gen/tidings/v1/push_service_pb.ts";
import { errorTable } from "../../src/errors.ts";
import { scrape } from "../support/figures.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";

const start = () => startServer({ metrics: true, metricsAddress: { port: 0 } });
let server: TestServer;
beforeEach(async () => {
  server = await start();
});
afterEach(() => server.stop());

type Event = SubscribeResponse["event"];

/** Opens a live stream; `message` returns its next message. */
async function open(tenant: string, sub: string) {
  const end = new AbortController();
  const events = server.client({ tenant, sub }).subscribe({}, { signal: end.signal })[Symbol.asyncIterator]();
  const until = async (name: Event["case"]) => {
    for (;;) {
      const { value, done } = await events.next();
      if (done) throw new Error("the stream has ended");
      if (value.event.case === name) return value.event;
    }
  };
  await until("caughtUp");
  return { message: () => until("message"), end: () => end.abort() };
}

const note = (title: string) => ({ kind: Kind.NOTIFICATION, title });
const toAnn = { to: { case: "userId" as const, value: "ann" } };
const toAll = { to: { case: "tenant" as const, value: true } };

describe("Messages and streams", () => {
  test("are counted exactly", async () => {
    const tenant = newTenant();
    const ann = await open(tenant, "ann");
    const bob = await open(tenant, "bob");
    const backend = server.client({ tenant, role: "service" });
    await backend.publish({ audience: toAnn, message: note("one"), requestId: "1" });
    await backend.publish({ audience: toAnn, message: note("one"), requestId: "1" });
    await backend.publish({ audience: toAnn, message: note("two"), requestId: "1" }).catch(() => {});
    await backend.publish({ audience: toAll, message: note("three") });
    await backend.publish({ audience: toAll, message: { kind: Kind.EVENT, event: "ping" } });
    await backend.publishBatch({
      requests: [
        { audience: toAll, message: { kind: Kind.ACTIVITY, title: "four" } },
        { audience: { to: { case: "users", value: { userIds: ["ann", "eve"] } } }, message: note("five") },
        { audience: toAnn, message: note("x".repeat(513)) },
      ],
    });
    for (let left = 5; left > 0; left--) await ann.message();
    for (let left = 3; left > 0; left--) await bob.message();

    const figures = await scrape(server.metricsUrl);
    const published = (kind: string, audience: string, outcome: string) =>
      figures.value("tidings_messages_published_total", { kind, audience, outcome });
    expect(published("notification", "user", "stored")).toBe(1);
    expect(published("notification", "user", "duplicate")).toBe(1);
    expect(published("notification", "user", "conflict")).toBe(1);
    expect(published("notification", "tenant", "stored")).toBe(1);
    expect(published("event", "tenant", "live")).toBe(1);
    expect(published("activity", "tenant", "stored")).toBe(1);
    expect(published("notification", "users", "stored")).toBe(1);
    expect(figures.value("tidings_messages_published_total"), "and no more").toBe(7);
    expect(figures.value("tidings_messages_delivered_total")).toBe(8);

    expect(figures.value("tidings_streams", { transport: "connect" })).toBe(2);
    expect(figures.value("tidings_streams")).toBe(2);
    expect(figures.value("tidings_streams_opened_total", { transport: "connect" })).toBe(2);
    expect(figures.value("tidings_streams_lagging")).toBe(0);
    expect(figures.value("tidings_streams_beginning")).toBe(0);
    expect(figures.value("tidings_presence_leases")).toBe(2);
    expect(figures.value("tidings_hub_feeds"), "two users, tenant, activity, everyone").toBe(5);
    expect(figures.value("tidings_hub_followers")).toBe(8);
    expect(figures.value("tidings_hub_users")).toBe(2);
    expect(figures.value("tidings_ring_bytes")).toBeGreaterThan(5 * 512);
    expect(figures.value("tidings_bus_connected")).toBe(1);
    expect(figures.value("tidings_bus_losses_total")).toBe(0);
    expect(figures.value("tidings_draining")).toBe(0);

    expect(figures.value("tidings_errors_total", { reason: "REQUEST_ID_REUSED" })).toBe(1);
    expect(figures.value("tidings_errors_total", { reason: "FIELD_INVALID" }), "an item of a batch").toBe(1);
    expect(figures.value("tidings_errors_total")).toBe(2);

    // The batch is one call; its refused item is not counted in it.
    expect(figures.value("tidings_store_call_duration_seconds_count", { method: "append", ok: "true" })).toBe(5);
    expect(figures.value("tidings_store_batch_messages_sum")).toBe(6);
    expect(figures.value("tidings_store_commit_duration_seconds_count")).toBe(
      figures.value("tidings_store_batch_messages_count"),
    );
    expect(figures.value("tidings_store_calls_waiting")).toBe(0);
    expect(figures.value("tidings_store_pages_reading")).toBe(0);

    ann.end();
    await vi.waitFor(async () => {
      const after = await scrape(server.metricsUrl);
      expect(after.value("tidings_streams")).toBe(1);
      expect(after.value("tidings_presence_leases")).toBe(1);
      expect(after.value("tidings_hub_users")).toBe(1);
    });
    bob.end();
  });

  test("of the WebSocket bridge are counted exactly, with their errors", async () => {
    const token = await server.token({ tenant: newTenant() });
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws`, "tidings.v1.json");
    await new Promise((resolve) => socket.once("open", resolve));
    const caughtUp = new Promise<void>((resolve) => {
      socket.on("message", (data) => String(data).includes("caughtUp") && resolve());
    });
    socket.send(JSON.stringify({ token, subscribe: {} }));
    await caughtUp;
    expect((await scrape(server.metricsUrl)).value("tidings_streams", { transport: "websocket" })).toBe(1);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.send(JSON.stringify({ token: "no JWT" }));
    expect(await closed).toBe(4016);
    const figures = await scrape(server.metricsUrl);
    expect(figures.value("tidings_streams")).toBe(0);
    expect(figures.value("tidings_streams_opened_total", { transport: "websocket" })).toBe(1);
    expect(figures.value("tidings_errors_total", { reason: "TOKEN_INVALID" })).toBe(1);
    expect(figures.value("tidings_errors_total")).toBe(1);
  });
});

describe("Calls", () => {
  const calls = async (labels: Record<string, string>) =>
    (await scrape(server.metricsUrl)).value("rpc_server_call_duration_seconds_count", labels);
  const method = (name: string) => `tidings.v1.PushService/${name}`;

  test("are labelled by the OpenTelemetry conventions, by protocol", async () => {
    const headers = { authorization: `Bearer ${await server.token({ tenant: newTenant() })}` };
    const connect = createClient(PushService, createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" }));
    const grpc = createClient(PushService, createGrpcTransport({ baseUrl: server.url }));
    for (const client of [connect, grpc]) {
      await client.listUnread({}, { headers });
      await client.listUnread({ pageToken: "mine" }, { headers }).catch(() => {});
      await client.listUnread({}).catch(() => {});
    }
    const listUnread = { rpc_method: method("ListUnread"), error_type: "" };
    const connectCall = { ...listUnread, rpc_system_name: "connectrpc" };
    const grpcCall = { ...listUnread, rpc_system_name: "grpc" };
    await vi.waitFor(async () => {
      expect(await calls({ ...connectCall, rpc_response_status_code: "" })).toBe(1);
      expect(await calls({ ...connectCall, rpc_response_status_code: "invalid_argument" })).toBe(1);
      expect(await calls({ ...connectCall, rpc_response_status_code: "unauthenticated" })).toBe(1);
      expect(await calls({ ...grpcCall, rpc_response_status_code: "OK" })).toBe(1);
      expect(await calls({ ...grpcCall, rpc_response_status_code: "INVALID_ARGUMENT" })).toBe(1);
      expect(await calls({ ...grpcCall, rpc_response_status_code: "UNAUTHENTICATED" })).toBe(1);
      expect(await calls({})).toBe(6);
    });
    const figures = await scrape(server.metricsUrl);
    expect(figures.value("tidings_errors_total", { reason: "PAGE_TOKEN_INVALID" })).toBe(2);
    expect(figures.value("tidings_errors_total", { reason: "TOKEN_MISSING" })).toBe(2);
  });

  test("that the caller gave up count as errors of the caller", async () => {
    const stream = await open(newTenant(), "ann");
    stream.end();
    await vi.waitFor(async () => {
      const labels = { rpc_method: method("Subscribe"), rpc_response_status_code: "canceled", error_type: "" };
      expect(await calls(labels)).toBe(1);
    });
    expect((await scrape(server.metricsUrl)).value("tidings_errors_total")).toBe(0);
  });
});

test("No label has a value that a caller chose, and the number of series is bounded", async () => {
  const tenants = Array.from({ length: 30 }, newTenant);
  for (const tenant of tenants) {
    const backend = server.client({ tenant, role: "service" });
    await backend.publish({
      audience: { to: { case: "roomId", value: `room-of-${tenant}` } },
      message: { ...note("x"), category: tenant },
      requestId: tenant,
    });
    await backend.publish({ tenantId: `not-${tenant}`, audience: toAnn, message: note("x") }).catch(() => {});
  }
  const first = await scrape(server.metricsUrl);
  const text = JSON.stringify(first.samples);
  for (const tenant of tenants) expect(text).not.toContain(tenant);
  const allowed = new Set([
    ...["rpc_system_name", "rpc_method", "rpc_response_status_code", "error_type", "reason", "transport"],
    ...["kind", "audience", "outcome", "method", "ok", "direction", "limit", "le"],
  ]);
  for (const { labels } of first.samples) for (const name of Object.keys(labels)) expect(allowed).toContain(name);
  expect(first.samples.filter(({ name }) => name === "tidings_errors_total")).toHaveLength(
    Object.keys(errorTable).length,
  );
  const perName = Map.groupBy(first.samples, ({ name }) => name);
  for (const [name, samples] of perName) expect.soft(samples.length, name).toBeLessThan(400);
});

test("Two servers of one process count separately", async () => {
  const other = await start();
  const tenant = newTenant();
  await other.client({ tenant, role: "service" }).publish({ audience: toAnn, message: note("x") });
  expect((await scrape(other.metricsUrl)).value("tidings_messages_published_total")).toBe(1);
  expect((await scrape(server.metricsUrl)).value("tidings_messages_published_total")).toBe(0);
  await other.stop();
});

test("The server of another program can serve the metrics", async () => {
  const { text, contentType } = await server.tidings.metrics();
  expect(contentType).toMatch(/^text\/plain/);
  expect(text).toContain("\ntidings_streams{");
});

test("The main port serves no metrics", async () => {
  expect((await fetch(`${server.url}/metrics`)).status).toBe(404);
});
