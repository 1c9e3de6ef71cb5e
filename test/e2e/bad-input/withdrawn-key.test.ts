/** A leaked key is withdrawn from the key set. */
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { PushService } from "../../../src/gen.ts";
import { FakeClock } from "../../support/clock.ts";
import { scrape } from "../../support/figures.ts";
import { type IssuerKey, issuerKey, KeyServer } from "../../support/key-server.ts";
import { startServer, type TestServer } from "../../support/server.ts";
import { describe as describeError, refusalOf } from "./wire.ts";

let keys: KeyServer;
let leaked: IssuerKey;
let fresh: IssuerKey;
let clock: FakeClock;
let server: TestServer;

beforeEach(async () => {
  [leaked, fresh] = [await issuerKey("leaked"), await issuerKey("fresh")];
  keys = await KeyServer.start(leaked, fresh);
  clock = new FakeClock(Date.now());
  const options = { auth: { jwksUrl: keys.url, jwksRefreshMs: 60_000 }, metrics: true, metricsAddress: { port: 0 } };
  server = await startServer({ ...options, clock });
});
afterEach(async () => {
  await server.stop();
  await keys.stop();
});

/** Opens a stream, waits until it is live, and returns the reason that it will end with. */
async function stream(transport: Transport, token: string): Promise<{ readonly ended: Promise<string | undefined> }> {
  const events = createClient(PushService, transport).subscribe({}, { headers: { authorization: `Bearer ${token}` } });
  const iterator = events[Symbol.asyncIterator]();
  while ((await iterator.next()).value?.event.case !== "caughtUp");
  const read = async () => {
    try {
      while (!(await iterator.next()).done);
      return "ended without an error";
    } catch (error) {
      return describeError(error as never).reason;
    }
  };
  return { ended: read() };
}

async function socket(token: string): Promise<{ readonly ended: Promise<string> }> {
  const opened = new WebSocket(`${server.url.replace("http", "ws")}/ws`, "tidings.v1.json");
  const ended = new Promise<string>((resolve) => opened.on("close", (code, reason) => resolve(`${code} ${reason}`)));
  opened.on("open", () => opened.send(JSON.stringify({ token, subscribe: {} })));
  await new Promise<void>((resolve) => opened.on("message", (data) => String(data).includes("caughtUp") && resolve()));
  return { ended };
}

/** Makes the background fetch due, and waits for its request. */
async function refresh(): Promise<void> {
  const before = keys.requests;
  await clock.advance(60_000);
  await expect.poll(() => keys.requests, { timeout: 15_000, interval: 2 }).toBeGreaterThan(before);
}

test("Withdrawing a key ends its streams over every transport and of every role, and no other stream", async () => {
  const connect = createConnectTransport({ baseUrl: server.url, httpVersion: "2" });
  const grpc = createGrpcTransport({ baseUrl: server.url });
  const service = { sub: "backend", role: "service" };
  const ending = [
    await stream(connect, await leaked.sign()),
    await stream(grpc, await leaked.sign({ ...service })),
    await socket(await leaked.sign({ role: "admin", sub: "ops" })),
  ];
  const kept = await socket(await fresh.sign());
  const call = async (key: IssuerKey) =>
    refusalOf(connect, "OnlineCount", {}, { authorization: `Bearer ${await key.sign(service)}` });
  expect(await call(leaked)).toBeUndefined();
  keys.publish(fresh);
  await refresh();
  const ends = await Promise.all(ending.map(({ ended }) => ended));
  expect(ends).toEqual([
    "TOKEN_INVALID",
    "TOKEN_INVALID",
    "4016 TOKEN_INVALID: the key that signed the token was withdrawn; get a fresh token",
  ]);
  expect(await call(leaked)).toMatchObject({ code: "Unauthenticated", reason: "TOKEN_INVALID" });
  expect(await call(fresh)).toBeUndefined();
  expect(await Promise.race([kept.ended, Promise.resolve("open")])).toBe("open");
  expect((await scrape(server.metricsUrl)).value("tidings_streams")).toBe(1);
});

test("The metrics have the age of the key set and the number of failed fetches", async () => {
  await expect
    .poll(async () => (await scrape(server.metricsUrl)).value("tidings_key_set_age_seconds"), {
      timeout: 15_000,
      interval: 5,
    })
    .toBe(0);
  keys.answer = (response) => response.writeHead(500).end();
  await refresh();
  await expect
    .poll(async () => (await scrape(server.metricsUrl)).value("tidings_key_set_failures_total"), {
      timeout: 15_000,
      interval: 5,
    })
    .toBe(1);
  const age = (await scrape(server.metricsUrl)).value("tidings_key_set_age_seconds");
  expect(age).toBeGreaterThan(40);
});
