/** Requests with several Authorization headers, of which a proxy may have checked another one than the server would take. */
import { createServer } from "node:http";
import { type ClientSessionOptions, connect as connectHttp2 } from "node:http2";
import { type AddressInfo, connect } from "node:net";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer, type TestServer } from "../../support/server.ts";
import { pathOf } from "./raw.ts";

let server: TestServer;
let ann: string;
let eve: string;

beforeAll(async () => {
  server = await startServer();
  ann = `Bearer ${await server.token({ tenant: "acme" })}`;
  eve = `Bearer ${await server.token({ tenant: "acme", sub: "eve" })}`;
});
afterAll(() => server.stop());

/** Sends bytes on a new connection, and returns the bytes that the server sends until it closes the connection. */
function exchange(port: number, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(request));
    socket.on("data", (data) => (answer += data.toString("latin1")));
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}

function overHttp1(authorizations: readonly string[], port = server.port): Promise<string> {
  const headers = authorizations.map(
    (value, index) => `${index % 2 ? "AUTHORIZATION" : "Authorization"}: ${value}\r\n`,
  );
  return exchange(
    port,
    `POST ${pathOf("ListUnread")} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n` +
      `Connection: close\r\n${headers.join("")}\r\n{}`,
  );
}

async function overHttp2(authorizations: readonly string[]): Promise<string> {
  // Without this, Node's client refuses to send a repeated header, which its server accepts.
  const lax: ClientSessionOptions & { strictSingleValueFields: boolean } = { strictSingleValueFields: false };
  const session = connectHttp2(server.url, lax);
  const headers = [
    ...[":method", "POST", ":path", pathOf("ListUnread"), ":scheme", "http", ":authority", "x"],
    ...["content-type", "application/json"],
    ...authorizations.flatMap((value) => ["authorization", value]),
  ];
  try {
    return await new Promise((resolve, reject) => {
      const request = session.request(headers);
      let answer = "";
      request.on("response", ({ ":status": status }) => (answer += `${status} `));
      request.on("data", (data) => (answer += data));
      request.on("end", () => resolve(answer));
      request.on("error", reject);
      request.end("{}");
    });
  } finally {
    session.close();
  }
}

function overBridge(authorizations: readonly string[]): Promise<string> {
  return exchange(
    server.port,
    "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tidings.v1.json\r\n" +
      `${authorizations.map((value) => `Authorization: ${value}\r\n`).join("")}\r\n` +
      // An empty masked frame that closes the socket.
      "\x88\x80\0\0\0\0",
  );
}

/** Pairs of headers, from which two servers may take different ones. */
const pairs: readonly (readonly [string, () => readonly string[]])[] = [
  ["two users", () => [ann, eve]],
  ["the same user twice", () => [ann, ann]],
  ["a token and another scheme", () => [ann, "Basic eDp5"]],
  ["another scheme and a token", () => ["Basic eDp5", ann]],
  ["a token and an empty header", () => [ann, ""]],
  ["an empty header and a token", () => ["", ann]],
  ["three tokens", () => [ann, ann, ann]],
];

describe.each([
  ["HTTP/1.1", overHttp1, /^HTTP\/1\.1 401 /],
  ["HTTP/2", overHttp2, /^401 /],
] as const)("Over %s", (_name, call, status) => {
  test.each(pairs)("several Authorization headers are refused: %s", async (_what, authorizations) => {
    const answer = await call(authorizations());
    expect(answer).toMatch(status);
    expect(answer).toMatch(/there is more than one Authorization header; send one.*TOKEN_INVALID/s);
  });

  test("one Authorization header is accepted", async () => {
    expect(await call([ann])).toMatch(/200 /);
  });
});

describe("Over the WebSocket bridge", () => {
  test.each(pairs)("several Authorization headers are refused: %s", async (_what, authorizations) => {
    const answer = await overBridge(authorizations());
    expect(answer).toMatch(/^HTTP\/1\.1 400 .*there is more than one Authorization header/s);
  });

  test("one Authorization header is ignored, and none is required", async () => {
    for (const authorizations of [[ann], []]) expect(await overBridge(authorizations)).toMatch(/^HTTP\/1\.1 101 /);
  });
});

test("Inside another server, several Authorization headers are refused if it joins duplicate headers", async () => {
  const adapter = connectNodeAdapter({ routes: server.tidings.routes });
  const host = createServer({ joinDuplicateHeaders: true }, adapter);
  await new Promise<void>((resolve) => host.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = host.address() as AddressInfo;
    expect(await overHttp1([ann, eve], port)).toMatch(/^HTTP\/1\.1 401 .*more than one Authorization header/s);
    expect(await overHttp1([ann], port)).toMatch(/^HTTP\/1\.1 200 /);
  } finally {
    await new Promise((resolve) => host.close(resolve));
  }
});
