/** The features that only the bridge has: further frames, close codes, and checks before the upgrade. */
import { once } from "node:events";
import { request } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type WebSocket from "ws";
import { Kind } from "../../../gen/tidings/v1/message_pb.ts";
import { FakeClock } from "../../support/clock.ts";
import { newTenant, startServer, type TestServer } from "../../support/server.ts";
import { Stream } from "./caller.ts";
import { factsOf, note, toUser } from "./scenario/people.ts";
import { encode, type FrameInit, openBridge, type Subprotocol } from "./ws.ts";

const origin = "https://app.example.com";
const subprotocols: Subprotocol[] = ["tidings.v1.json", "tidings.v1.proto"];
const hour = 3_600_000;
let clock: FakeClock;
let server: TestServer;
let tenant: string;
let sockets: WebSocket[];

beforeEach(async () => {
  clock = new FakeClock();
  // So long that no heartbeat comes between the events of a test.
  server = await startServer({ clock, allowedOrigins: [origin], heartbeatMs: 24 * hour });
  tenant = newTenant();
  sockets = [];
});
afterEach(async () => {
  for (const socket of sockets) socket.terminate();
  await server.stop();
});

/** Opens a socket, and sends nothing. */
async function connect(subprotocol: Subprotocol, headers: Record<string, string> = {}) {
  const { socket, events } = openBridge(server.url, subprotocol, headers);
  sockets.push(socket);
  await once(socket, "open");
  return { socket, stream: new Stream(events), send: (frame: FrameInit) => socket.send(encode(subprotocol, frame)) };
}

/** Opens a socket with a live stream. */
async function live(subprotocol: Subprotocol, token: string) {
  const page = await connect(subprotocol);
  page.send({ token, subscribe: {} });
  await page.stream.expect("hello");
  await page.stream.expect("caughtUp");
  return page;
}

/** The facts of the error that closes a socket. */
async function closing({ stream }: { stream: Stream }) {
  const { code, reason } = factsOf(await stream.end());
  return `${code} ${reason}`;
}

describe.each(subprotocols)("A WebSocket of %s", (subprotocol) => {
  test("takes a mark, after which every stream of the user receives the read state", async () => {
    const message = note("one");
    const { messageId } = await server
      .client({ tenant, role: "service" })
      .publish({ audience: toUser("ann"), message });
    const page = await live(subprotocol, await server.token({ tenant }));
    const other = await live(subprotocol, await server.token({ tenant }));
    page.send({ markRead: { target: { case: "ids", value: { messageIds: [messageId] } } } });
    for (const { stream } of [page, other]) {
      expect(await stream.expect("readState")).toMatchObject({ readIds: [messageId], unread: { total: 0 } });
    }
  });

  test("continues with a fresh token of the same caller", async () => {
    const page = await live(subprotocol, await server.token({ tenant, ttl: 60 }));
    page.send({ token: await server.token({ tenant, ttl: 7200 }) });
    // Frames are handled in order, so the token is in use once the mark has had its effect.
    const backend = server.client({ tenant, role: "service", ttl: 7200 });
    await backend.publish({ audience: toUser("ann"), message: note("one") });
    await page.stream.expect("message");
    page.send({ markRead: { target: { case: "all", value: true } } });
    await page.stream.expect("readState");
    await clock.advance(hour);
    await backend.publish({ audience: toUser("ann"), message: { kind: Kind.EVENT, title: "still here" } });
    expect(await page.stream.expect("message")).toMatchObject({ title: "still here" });
    await clock.advance(hour);
    expect(await closing(page)).toBe("unauthenticated TOKEN_EXPIRED");
  });

  test("answers a frame without content with a heartbeat, after Hello", async () => {
    const page = await connect(subprotocol);
    page.send({ token: await server.token({ tenant }), subscribe: {} });
    page.send({});
    await page.stream.expect("hello");
    await page.stream.until("heartbeat");
    page.send({});
    const { positions } = await page.stream.until("heartbeat");
    expect(positions.length).toBeGreaterThan(0);
  });

  test("closes with 4000 plus the number of the code, and with the reason before the sentence", async () => {
    const ann = await server.token({ tenant });
    const backend = await server.token({ tenant, role: "service" });
    const first = async (frame: FrameInit) => {
      const page = await connect(subprotocol);
      page.send(frame);
      return closing(page);
    };
    const later = async (token: string, frame: FrameInit) => {
      const page = await live(subprotocol, token);
      page.send(frame);
      return closing(page);
    };
    expect(await first({ token: "no.jwt.atall", subscribe: {} })).toBe("unauthenticated TOKEN_INVALID");
    expect(await first({ subscribe: {} })).toBe("unauthenticated TOKEN_MISSING");
    expect(await first({ token: ann })).toBe("invalid_argument FIELD_INVALID");
    expect(await later(ann, { subscribe: {} })).toBe("invalid_argument FIELD_INVALID");
    expect(await later(ann, { token: await server.token({ tenant, sub: "bob" }) })).toBe(
      "unauthenticated TOKEN_INVALID",
    );
    expect(await later(ann, { markRead: {} })).toBe("invalid_argument FIELD_INVALID");
    const markAll = { target: { case: "all", value: true } } as const;
    expect(await later(backend, { markRead: markAll })).toBe("permission_denied ROLE_FORBIDDEN");
  });

  test("closes after garbage, in text or binary, and after a frame that is too large", async () => {
    const bytes = [Buffer.from([0xff, 0xff, 0xff]), Buffer.from([0x0a, 0x7f, 0x61])];
    for (const garbage of ["{", "[]", '{"token":1}', ...bytes]) {
      const page = await connect(subprotocol);
      page.socket.send(garbage);
      expect(await closing(page)).toBe("invalid_argument BODY_INVALID");
    }
    const page = await connect(subprotocol);
    page.socket.send("x".repeat(65_537));
    const [code] = await once(page.socket, "close");
    expect(code).toBe(1009);
  });

  test("closes after more frames at once than it queues", async () => {
    const page = await live(subprotocol, await server.token({ tenant }));
    const markAll = { markRead: { target: { case: "all", value: true } } } as const;
    for (let index = 0; index < 100; index++) page.send(markAll);
    expect(await closing(page)).toBe("unavailable OVERLOADED");
  });

  test("closes when the client sends nothing", async () => {
    const page = await connect(subprotocol);
    await clock.advance(10_000);
    expect(await closing(page)).toBe("unauthenticated TOKEN_MISSING");
  });
});

describe("The upgrade to a WebSocket", () => {
  /** Sends an upgrade request, and returns the status and the text of the response. */
  async function upgrade(path: string, headers: Record<string, string>): Promise<[number, string]> {
    const asked = request(`${server.url}${path}`, {
      headers: {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        ...headers,
      },
    });
    asked.end();
    const answered = once(asked, "response").then(([response]) => response);
    const upgraded = once(asked, "upgrade").then(([response, socket]) => {
      socket.destroy();
      return response;
    });
    const response = await Promise.race([answered, upgraded]);
    if (response.statusCode === 101) return [101, String(response.headers["sec-websocket-protocol"])];
    let text = "";
    for await (const chunk of response) text += chunk;
    return [response.statusCode, text];
  }

  const offer = { "sec-websocket-protocol": "tidings.v1.json" };

  test("is only for pages of this host and of allowed origins", async () => {
    expect(await upgrade("/ws", { ...offer, origin: "https://evil.example.com" })).toEqual([
      403,
      "origin is not allowed",
    ]);
    expect(await upgrade("/ws", { ...offer, origin: "null" })).toEqual([403, "origin is not allowed"]);
    for (const allowed of [origin, server.url]) {
      expect(await upgrade("/ws", { ...offer, origin: allowed })).toEqual([101, "tidings.v1.json"]);
    }
  });

  test("refuses a credential in the URL", async () => {
    const token = await server.token({ tenant });
    const [status, text] = await upgrade(`/ws?token=${token}`, offer);
    expect(status).toBe(400);
    expect(text).not.toContain(token);
  });

  test("needs a known subprotocol", async () => {
    expect((await upgrade("/ws", {}))[0]).toBe(400);
    expect((await upgrade("/ws", { "sec-websocket-protocol": "graphql-ws" }))[0]).toBe(400);
    const both = { "sec-websocket-protocol": "graphql-ws, tidings.v1.proto" };
    expect(await upgrade("/ws", both)).toEqual([101, "tidings.v1.proto"]);
  });
});
