/** A server whose store fails: the errors of its clients, and the log of its operator. */
import { connect, constants } from "node:http2";
import type { JsonObject } from "@bufbuild/protobuf";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { loadDescriptors } from "../../../src/contract/descriptors.ts";
import { fail } from "../../../src/errors.ts";
import { createAdapter } from "../../../src/http/adapter.ts";
import { InFlight } from "../../../src/http/in-flight.ts";
import { createListener, type Listener } from "../../../src/http/listener.ts";
import { resolveInFlight } from "../../../src/in-flight-options.ts";
import { createHealth } from "../../../src/rpc/health.ts";
import { createRoutes } from "../../../src/rpc/routes.ts";
import { AddressList } from "../../../src/util/address-list.ts";
import { WebSocketBridge } from "../../../src/ws/bridge.ts";
import { FakeClock } from "../../support/clock.ts";
import { startTestCore, type TestCore } from "../../support/core.ts";
import type { Around } from "../../support/store-tap.ts";
import { mintToken } from "../../support/token.ts";
import { memoryLogger } from "./stage.ts";
import { protocolsOf, refusalOf } from "./wire.ts";

const secretCause = "disk /srv/private is on fire";
/** The error of the real store when its disk or its thread fails, and an unexpected error. */
const failures = {
  known: () =>
    fail("STORE_UNAVAILABLE", "the store did not answer; repeat the request", {
      cause: new Error(secretCause),
      retryAfterMs: 1000,
    }),
  unexpected: () => new TypeError(secretCause),
};

let failing: keyof typeof failures | undefined;
/** A store whose calls wait. */
let held: (() => Promise<void>) | undefined;
let node: TestCore;
let listener: Listener;
let url: string;
let tokens: { user: string; service: string };
const { logger, lines } = memoryLogger();

beforeAll(async () => {
  const around: Around = async (_method, call) => {
    if (failing) throw failures[failing]();
    await held?.();
    return call();
  };
  node = await startTestCore({ logger, around, clock: new FakeClock(Date.now()) });
  const routes = createRoutes(node.core, createHealth([]), loadDescriptors());
  const bridge = new WebSocketBridge(node.core);
  listener = createListener({
    onRequest: createAdapter({
      routes,
      logger,
      largeAnswers: new Set(),
      inFlight: new InFlight(resolveInFlight(), 30_000, () => {}),
      trustedProxies: new AddressList([]),
      fallback: (_request, response) => response.writeHead(404).end(),
    }),
    onUpgrade: (request, socket, head) => bridge.upgrade(request, socket, head),
    timeouts: node.core.context.settings.timeouts,
  });
  ({ url } = await listener.listen("127.0.0.1", 0));
  tokens = { user: await mintToken(), service: await mintToken({ claims: { role: "service", sub: "backend" } }) };
});

afterAll(async () => {
  await listener.close(0);
  await node.close();
});

beforeEach(() => {
  failing = held = undefined;
  lines.length = 0;
});

const publish = { audience: { userId: "ann" }, message: { kind: "KIND_NOTIFICATION", title: "a title" } };

/** Calls that need the store. */
const calls: readonly [method: string, role: "user" | "service", request: JsonObject][] = [
  ["Publish", "service", publish],
  ["PublishBatch", "service", { requests: [publish, publish] }],
  ["Subscribe", "user", {}],
  ["ListUnread", "user", {}],
  ["ListMessages", "user", {}],
  ["ListMessages", "service", {}],
  ["MarkRead", "user", { all: true }],
  ["DeleteMessages", "user", { expiredOnly: true }],
  ["DeleteMessages", "service", { recall: true, ids: { messageIds: ["a"] } }],
];

/** The lines of the log at the level warn and above. */
function troubles(): { level: number; err: { message: string } }[] {
  return lines
    .map((line) => JSON.parse(line) as { level: number; err: { message: string } })
    .filter(({ level }) => level >= 40);
}

describe.each(calls)("%s from a %s, while the store fails,", (method, role, request) => {
  test("gets the error of the store without its cause, which is logged once", async () => {
    for (const [protocol, transport] of protocolsOf(url)) {
      lines.length = 0;
      failing = "known";
      const refusal = await refusalOf(transport, method, request, { authorization: `Bearer ${tokens[role]}` });
      expect.soft(refusal, protocol).toMatchObject({ code: "Unavailable", reason: "STORE_UNAVAILABLE" });
      expect.soft(JSON.stringify(refusal), protocol).not.toContain(secretCause);
      expect.soft(troubles(), protocol).toMatchObject([{ level: 40, err: { message: secretCause } }]);
    }
  });

  test("gets INTERNAL without details for an unexpected error, which is logged once with its cause", async () => {
    for (const [protocol, transport] of protocolsOf(url)) {
      lines.length = 0;
      failing = "unexpected";
      const refusal = await refusalOf(transport, method, request, { authorization: `Bearer ${tokens[role]}` });
      expect
        .soft(refusal, protocol)
        .toMatchObject({ code: "Internal", message: "internal error", reason: undefined, violations: [] });
      expect.soft(troubles(), protocol).toMatchObject([{ level: 50, err: { message: secretCause } }]);
    }
  });

  test("succeeds again as soon as the store works", async () => {
    for (const [protocol, transport] of protocolsOf(url)) {
      const refusal = await refusalOf(transport, method, request, { authorization: `Bearer ${tokens[role]}` });
      expect.soft(refusal, protocol).toBeUndefined();
    }
    expect(troubles()).toEqual([]);
  });
});

test.each([
  ["PROTOCOL_ERROR", constants.NGHTTP2_PROTOCOL_ERROR],
  ["INTERNAL_ERROR", constants.NGHTTP2_INTERNAL_ERROR],
  ["CANCEL", constants.NGHTTP2_CANCEL],
])("A caller that resets its HTTP/2 stream with %s causes no error of the server", async (_name, code) => {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  held = () => {
    reached.resolve();
    return released.promise;
  };
  const session = connect(url);
  const headers = { authorization: `Bearer ${tokens.service}`, "content-type": "application/json" };
  const path = "/tidings.v1.PushService/Publish";
  const stream = session.request({ ":method": "POST", ":path": path, ...headers }).on("error", () => {});
  stream.end(JSON.stringify(publish));
  await reached.promise;
  stream.close(code);
  await vi.waitFor(() => expect(lines.some((line) => line.includes("call ended"))).toBe(true));
  released.resolve();
  expect(troubles()).toEqual([]);
  session.close();
});

test.each([
  ["known", "4014 STORE_UNAVAILABLE", 40],
  ["unexpected", "4013 INTERNAL: internal error", 50],
] as const)("The bridge closes its socket after an error that is %s, with %s", async (kind, close, level) => {
  failing = kind;
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, "tidings.v1.json");
  socket.on("open", () => socket.send(JSON.stringify({ token: tokens.user, subscribe: {} })));
  const closed = await new Promise<string>((resolve) =>
    socket.on("close", (code, reason) => resolve(`${code} ${reason}`)),
  );
  expect(closed).toMatch(close);
  expect(closed).not.toContain(secretCause);
  expect(troubles()).toMatchObject([{ level, err: { message: secretCause } }]);
});
