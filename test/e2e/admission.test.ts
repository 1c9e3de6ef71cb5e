/** Clients that open more streams than the node admits. */
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { connectTidings } from "../../src/client/index.ts";
import { FakeClock } from "../support/clock.ts";
import { newTenant, startServer } from "../support/server.ts";
import { Caller } from "./interop/caller.ts";
import { connectDriver } from "./interop/connect-node.ts";
import { wsDriver } from "./interop/ws.ts";

async function build(clock?: FakeClock) {
  const server = await startServer({ admission: { perSecond: 1, burst: 1 }, ...(clock ? { clock } : {}) });
  const token = await server.token({ tenant: newTenant() });
  return { server, token };
}

test("Over Connect and gRPC, a stream over the limit gets RESOURCE_EXHAUSTED with a delay", async ({
  onTestFinished,
}) => {
  const { server, token } = await build(new FakeClock());
  const sessionManager = new Http2SessionManager(server.url);
  onTestFinished(async () => {
    sessionManager.abort();
    await server.stop();
  });
  const transports = [
    createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" }),
    createGrpcTransport({ baseUrl: server.url, sessionManager }),
  ];
  const [first, second] = transports.map(
    (transport) =>
      new Caller(
        connectDriver(transport, () => {}),
        token,
        onTestFinished,
      ),
  );
  await first?.live();
  for (const caller of [first, second]) {
    const error = await caller?.subscribe().end();
    expect(error?.code).toBe("resource_exhausted");
    expect(error?.detail("google.rpc.ErrorInfo")?.reason).toBe("TOO_MANY_NEW_STREAMS");
    expect(String(error?.detail("google.rpc.RetryInfo")?.retryDelay)).toMatch(/^[1-9][\d.]*s$/);
  }
});

test("A WebSocket over the limit gets go_away with a delay before the close", async ({ onTestFinished }) => {
  const { server, token } = await build(new FakeClock());
  onTestFinished(() => server.stop());
  const connect = () => new Caller(wsDriver(server.url, "tidings.v1.proto"), token, onTestFinished);
  await connect().live();
  const stream = connect().subscribe();
  const { reconnectAfter, reason, message } = await stream.expect("goAway");
  expect([reason, message]).toEqual(["TOO_MANY_NEW_STREAMS", expect.stringMatching(/\w/)]);
  expect(Number(reconnectAfter?.seconds)).toBeGreaterThanOrEqual(1);
  const error = await stream.end();
  expect(`${error.code} ${error.detail("google.rpc.ErrorInfo")?.reason}`).toBe(
    "resource_exhausted TOO_MANY_NEW_STREAMS",
  );
});

test.each([
  ["WebSocket", WebSocket],
  ["Connect", undefined],
])("The typed client over %s reconnects after the delay that it was given", async (_, Socket) => {
  const { server, token } = await build();
  // Without a WebSocket, the client uses a Connect stream.
  const native = globalThis.WebSocket;
  if (!Socket) Reflect.deleteProperty(globalThis, "WebSocket");
  const open = () =>
    connectTidings({ url: server.url, token: async () => token, ...(Socket ? { WebSocket: Socket } : {}) });
  const first = open();
  const second = open();
  globalThis.WebSocket = native;
  try {
    const held = new Set<string>();
    for (const { state } of [first, second]) state.subscribe((now) => now === "held" && held.add(now));
    const states = () => [first, second].map(({ state }) => state.value);
    await expect.poll(states, { timeout: 15_000 }).toEqual(["live", "live"]);
    expect(held.size, "one of them had to wait").toBe(1);
  } finally {
    first.close();
    second.close();
    await server.stop();
  }
});
