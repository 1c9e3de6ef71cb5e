import { request } from "node:http";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PushService } from "../../../gen/tidings/v1/push_service_pb.ts";
import { at, note, type StreamCall } from "../../../src/cli/test-client/calls.ts";
import { proxyPage } from "../../../src/cli/test-client/exchange.ts";
import { KitServer } from "../../../src/cli/test-client/server.ts";
import { readError } from "../../../src/client/read-error.ts";
import { fail } from "../../../src/errors.ts";

let server: KitServer;
let changed: () => void;
let token: string;
beforeEach(async () => {
  changed = () => {};
  server = new KitServer(() => changed());
  await server.listen();
  token = await (await fetch(server.tokenUrl)).text();
});
afterEach(() => server.close());

/** Waits for a value that the server has. */
async function taken<T>(take: () => T | undefined): Promise<T> {
  for (;;) {
    const value = take();
    if (value !== undefined) return value;
    await new Promise<void>((resolve) => {
      changed = resolve;
    });
  }
}

const transports: readonly (readonly [name: string, create: (baseUrl: string) => Transport])[] = [
  ["Connect over HTTP/1.1", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  ["Connect over HTTP/2", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" })],
  ["Connect in JSON", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false })],
  ["Connect by GET", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useHttpGet: true })],
  ["gRPC", (baseUrl) => createGrpcTransport({ baseUrl })],
  ["gRPC in JSON", (baseUrl) => createGrpcTransport({ baseUrl, useBinaryFormat: false })],
  ["gRPC-Web over HTTP/1.1", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ["gRPC-Web over HTTP/2", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
];

describe.each(transports)("The server of test-client serves %s:", (_, create) => {
  const call = () => {
    const headers = { authorization: `Bearer ${token}` };
    return { client: createClient(PushService, create(server.url)), options: { headers } };
  };

  test("an answer, and an error with its details", async () => {
    const { client, options } = call();
    const answer = client.listUnread({ pageSize: 7 }, options);
    const good = await taken(() => server.takeCall("listUnread"));
    expect(good.request.pageSize).toBe(7);
    good.reply({ messages: [note(1)], nextPageToken: "next" });
    expect((await answer).messages[0]?.id).toBe("user-1-1");
    const refused = client.listUnread({}, options).catch((error: unknown) => error);
    const bad = await taken(() => server.takeCall("listUnread"));
    bad.fail(fail("RATE_LIMITED", "too many calls", { retryAfterMs: 1_500 }));
    const error = (await refused) as ConnectError;
    expect(readError(error)).toMatchObject({ code: "resource_exhausted", reason: "RATE_LIMITED", retryAfterMs: 1_500 });
  });

  test("a stream, its end, and its error", async () => {
    const { client, options } = call();
    const read = async (act: (stream: StreamCall) => Promise<void>) => {
      const events: (string | undefined)[] = [];
      const reading = (async () => {
        for await (const { event } of client.subscribe({ positions: [at("user", 3)] }, options))
          events.push(event.case);
      })().catch((error: unknown) => ConnectError.from(error).code);
      const stream = await taken(() => server.takeStream());
      expect(stream.seqOf("user")).toBe(3);
      await stream.hello();
      await act(stream);
      return [events, await reading];
    };
    expect(await read(async (stream) => stream.end())).toEqual([["hello"], undefined]);
    const refuse = async (stream: StreamCall) => {
      await stream.messages(note(4));
      stream.end(fail("CALLER_BLOCKED", "the user is blocked"));
    };
    expect(await read(refuse)).toEqual([["hello", "message"], Code.PermissionDenied]);
    const [events, code] = await read((stream) => stream.cut({ case: "message", value: note(4) }));
    expect(events).toEqual(["hello"]);
    expect(code).not.toBeUndefined();
  });
});

describe("The server of test-client", () => {
  test("answers a request that offers h2c over HTTP/1.1", async () => {
    const headers = {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      connection: "Upgrade, HTTP2-Settings",
      upgrade: "h2c",
      "http2-settings": "AAMAAABkAAQAAP__",
    };
    const status = new Promise((resolve, reject) => {
      const url = `${server.url}/tidings.v1.PushService/ListUnread`;
      const sent = request(url, { method: "POST", headers }, (response) => resolve(response.resume().statusCode));
      sent.on("error", reject);
      sent.end("{}");
    });
    (await taken(() => server.takeCall("listUnread"))).reply({});
    expect(await status).toBe(200);
  });

  test("reports a token that it never gave, and refuses it", async () => {
    const headers = { authorization: "Bearer other", "content-type": "application/json" };
    const url = `${server.url}/tidings.v1.PushService/ListUnread`;
    expect((await fetch(url, { method: "POST", headers, body: "{}" })).status).toBe(401);
    expect(server.faults).toEqual([
      'called listUnread with the token "other", which the token function never returned',
    ]);
  });

  test("answers as a proxy, and goes down, as a scenario wants", async () => {
    server.proxy = () => proxyPage(502);
    const url = `${server.url}/tidings.v1.PushService/ListUnread`;
    const response = await fetch(url, { method: "POST", body: "{}" });
    expect([response.status, response.headers.get("content-type")]).toEqual([502, "text/html"]);
    server.proxy = undefined;
    server.down = true;
    server.cut();
    // The first one may still take a connection that was cut.
    for (let attempt = 1; attempt <= 2; attempt++) {
      await expect(fetch(url, { method: "POST", body: "{}" })).rejects.toThrow();
    }
    expect(server.refusals.length).toBeGreaterThan(0);
  });
});
