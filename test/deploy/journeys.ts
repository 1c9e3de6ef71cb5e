/** Journeys through a proxy, by every protocol that it passes. */
import { once } from "node:events";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";
import { Caller } from "../e2e/interop/caller.ts";
import { connectDriver } from "../e2e/interop/connect-node.ts";
import type { Driver } from "../e2e/interop/driver.ts";
import { grpcDriver, loadPublicContract } from "../e2e/interop/grpc-js.ts";
import { openBridge, wsDriver } from "../e2e/interop/ws.ts";
import { describeWith, testWith } from "../support/require.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";
import type { Tool } from "../support/tools.ts";
import type { FrontProxy, StartProxy } from "./proxy.ts";

function overHttp2(url: string, createTransport: typeof createConnectTransport | typeof createGrpcTransport): Driver {
  const sessionManager = new Http2SessionManager(url);
  return connectDriver(createTransport({ baseUrl: url, httpVersion: "2", sessionManager }), () =>
    sessionManager.abort(),
  );
}

/** The clients, by protocol. */
const clients: readonly [name: string, connect: (proxy: FrontProxy) => Driver][] = [
  [
    "Connect, HTTP/1.1",
    ({ url: baseUrl }) => connectDriver(createConnectTransport({ baseUrl, httpVersion: "1.1" }), () => {}),
  ],
  [
    "gRPC-Web, HTTP/1.1",
    ({ url: baseUrl }) => connectDriver(createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }), () => {}),
  ],
  ["Connect, HTTP/2", ({ h2cUrl }) => overHttp2(h2cUrl, createConnectTransport)],
  ["gRPC, connect-node", ({ h2cUrl }) => overHttp2(h2cUrl, createGrpcTransport)],
  ["gRPC, grpc-js", ({ h2cUrl }) => grpcDriver(new URL(h2cUrl).host, loadPublicContract(), "files")],
  ["WebSocket, JSON", ({ url }) => wsDriver(url, "tidings.v1.json")],
  ["WebSocket, Protobuf", ({ url }) => wsDriver(url, "tidings.v1.proto")],
];

const heartbeatMs = 400;

/**
 * Registers the tests of one proxy, or skips them where it is not installed. `shortTimeout` changes a configuration so that
 * a stream counts as dead after a second of silence.
 */
export function journeys(
  name: string,
  tool: Tool,
  start: StartProxy,
  shortTimeout: (configuration: string) => string,
): void {
  describeWith(tool)(name, () => {
    const nodes: TestServer[] = [];
    let proxy: FrontProxy;
    beforeAll(async () => {
      nodes.push(await startServer({ heartbeatMs }));
      proxy = await start(
        nodes.map(({ url }) => url),
        shortTimeout,
      );
    });
    afterAll(async () => {
      await proxy?.stop();
      for (const node of nodes) await node.stop();
    });

    describe.each(clients)("over %s,", (_, connect) => {
      test("delivers each event before the next is published, and answers calls", async ({ onTestFinished }) => {
        const [node] = nodes as [TestServer];
        const driver = connect(proxy);
        onTestFinished(() => driver.close());
        const tenant = newTenant();
        const page = new Caller(driver, await node.token({ tenant }), onTestFinished);
        const backend = new Caller(driver, await node.token({ tenant, role: "service" }), onTestFinished);
        const stream = await page.live();
        // A proxy that buffers would hold back the first one for ever.
        for (const title of ["one", "two", "three"]) {
          await backend.call(PushService.method.publish, {
            audience: { to: { case: "userId", value: "ann" } },
            message: { kind: Kind.NOTIFICATION, title },
          });
          expect((await stream.until("message")).title).toBe(title);
        }
        expect((await page.call(PushService.method.listUnread, {})).messages).toHaveLength(3);
      });

      test("keeps a stream open beyond the proxy's timeout, by heartbeats", async ({ onTestFinished }) => {
        const [node] = nodes as [TestServer];
        const driver = connect(proxy);
        onTestFinished(() => driver.close());
        const stream = await new Caller(driver, await node.token({ tenant: newTenant() }), onTestFinished).live();
        const before = performance.now();
        while (performance.now() - before < 2_500) await stream.expect("heartbeat");
      });

      test("lets the node notice a client that goes away", async ({ onTestFinished }) => {
        const [node] = nodes as [TestServer];
        const driver = connect(proxy);
        onTestFinished(() => driver.close());
        const tenant = newTenant();
        const stream = await new Caller(driver, await node.token({ tenant }), onTestFinished).live();
        const online = async () => (await node.client({ tenant, role: "service" }).onlineCount({})).connections;
        expect(await online()).toBe(1);
        stream.cancel();
        await expect.poll(online, { timeout: 10_000 }).toBe(0);
      });
    });

    test("refuses a page of another origin at the bridge, and admits one of the proxy's own", async () => {
      for (const [origin, opens] of [
        ["https://evil.example", false],
        [proxy.url, true],
      ] as const) {
        const { socket } = openBridge(proxy.url, "tidings.v1.json", { origin });
        // Rejects when the upgrade is refused.
        const outcome = await once(socket, "open").then(
          () => true,
          () => false,
        );
        socket.terminate();
        expect(outcome, origin).toBe(opens);
      }
    });

    test("hides the metrics of the nodes, and passes their probes", async () => {
      expect((await fetch(`${proxy.url}/metrics`)).status).toBe(404);
      expect((await fetch(`${proxy.url}/readyz`)).status).toBe(200);
    });
  });

  testWith(tool)(`${name} loses no call when a node drains`, async ({ onTestFinished }) => {
    const nodes = [await startServer({ drainDelayMs: 2_000 }), await startServer()] as const;
    const proxy = await start(nodes.map(({ url }) => url));
    onTestFinished(async () => {
      await proxy.stop();
      for (const node of nodes) await node.stop();
    });
    const tenant = newTenant();
    const token = await nodes[0].token({ tenant, role: "service" });
    const transport = createConnectTransport({ baseUrl: proxy.url, httpVersion: "1.1" });
    const caller = new Caller(
      connectDriver(transport, () => {}),
      token,
      onTestFinished,
    );
    const call = () => caller.call(PushService.method.onlineCount, {});
    for (let index = 0; index < 10; index++) await call();
    let gone = false;
    const stopped = nodes[0].stop().then(() => (gone = true));
    while (!gone) await call();
    await stopped;
    for (let index = 0; index < 10; index++) await call();
  });
}
