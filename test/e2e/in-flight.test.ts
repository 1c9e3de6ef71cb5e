/** What callers make a node hold: answers that they do not read, and bodies that they do not complete. */
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants } from "node:http2";
import { connect as connectTcp } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { ListMessagesRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { newTenant, type ServerOptions, startServer, type TestServer } from "../support/server.ts";

const service = "/tidings.v1.PushService";
const room = "dm/ann/ann";
const mebibyte = 1024 * 1024;
let server: TestServer;
let tenant: string;
const sessions: ClientHttp2Session[] = [];

afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  await server.stop();
});

/** Starts a server that has a page of 1 MiB for ann. */
async function start(options: ServerOptions): Promise<void> {
  const limits = { publishesPerUser: Number.POSITIVE_INFINITY, bytesPerUser: Number.POSITIVE_INFINITY };
  server = await startServer({ metrics: true, limits, ...options });
  tenant = newTenant();
  const client = server.client({ tenant, sub: "ann" });
  const content = "x".repeat(60_000);
  const audience = { to: { case: "roomId", value: room } } as const;
  await Promise.all(
    Array.from({ length: 18 }, () => client.publish({ audience, message: { kind: Kind.NOTIFICATION, content } })),
  );
}

/** The value of a metric, for one reason where it has the label. */
async function metric(name: string, reason?: string): Promise<number> {
  const label = reason === undefined ? "" : `\\{reason="${reason}"\\}`;
  const { text } = await server.tidings.metrics();
  return Number(new RegExp(`^${name}${label} (\\d+)`, "m").exec(text)?.[1]);
}

const cut = (reason: string) => metric("tidings_connections_cut_total", reason);

/** Opens an HTTP/2 connection, whose windows for the whole are so large that only those of its streams matter. */
function openSession(): ClientHttp2Session {
  const session = connectHttp2(server.url, { maxSessionMemory: 100 }).on("error", () => {});
  session.once("connect", () => session.setLocalWindowSize(64 * mebibyte));
  sessions.push(session);
  return session;
}

/** Begins a call, whose body `end` completes. */
async function begin(
  session: ClientHttp2Session,
  method: string,
  { sub = "ann", contentType = "application/json", ...headers }: Record<string, string> = {},
): Promise<ClientHttp2Stream> {
  return session
    .request({
      ":method": "POST",
      ":path": `${service}/${method}`,
      authorization: `Bearer ${await server.token({ tenant, sub })}`,
      "content-type": contentType,
      ...headers,
    })
    .on("error", () => {});
}

const list = JSON.stringify({ roomId: room, pageSize: 100 });
const listProto = toBinary(
  ListMessagesRequestSchema,
  create(ListMessagesRequestSchema, { roomId: room, pageSize: 100 }),
);

/** The envelope that gRPC puts around a message. */
function enveloped(message: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

/** Reads a response to its end, as text. */
async function read(stream: ClientHttp2Stream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

describe("An answer that nobody reads", () => {
  test.each<[string, string, Uint8Array | string]>([
    ["Connect", "application/json", list],
    ["gRPC", "application/grpc", enveloped(listProto)],
    ["gRPC-Web", "application/grpc-web+json", enveloped(Buffer.from(list))],
  ])(
    "over %s and HTTP/2 is reset after stallMs, and other calls of the connection go on",
    async (_name, contentType, body) => {
      await start({ timeouts: { stallMs: 300 } });
      const session = openSession();
      const stalled = await begin(session, "ListMessages", { contentType });
      stalled.pause().end(body);
      await new Promise<void>((resolve) => stalled.once("close", resolve));
      expect(stalled.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      expect(await cut("answer_stalled")).toBe(1);
      expect(await metric("tidings_unread_answer_bytes")).toBe(0);
      const other = await begin(session, "ListMessages");
      other.end(list);
      expect((await read(other)).length).toBeGreaterThan(900_000);
    },
  );

  test("over HTTP/1.1 costs its connection after stallMs", async () => {
    await start({ timeouts: { stallMs: 300 } });
    const request = [
      `POST ${service}/ListMessages HTTP/1.1`,
      "Host: x",
      `Authorization: Bearer ${await server.token({ tenant, sub: "ann" })}`,
      "Content-Type: application/json",
      `Content-Length: ${list.length}`,
      "",
      list,
    ].join("\r\n");
    const socket = connectTcp(server.port, "127.0.0.1").on("error", () => {});
    // The buffers of the kernel take the first answers.
    socket.pause().write(request.repeat(20));
    await expect.poll(() => cut("answer_stalled"), { timeout: 15_000 }).toBe(1);
    expect(await metric("tidings_unread_answer_bytes")).toBe(0);
    let received = 0;
    socket.on("data", (chunk) => (received += chunk.length)).resume();
    await once(socket, "close");
    expect(received).toBeLessThan(18 * mebibyte);
  });

  test("counts for its user, who is reset beyond userBytes, while other users are served", async () => {
    await start({ inFlight: { userBytes: 3 * mebibyte } });
    for (let index = 0; index < 3; index++) {
      const session = openSession();
      for (let call = 0; call < 2; call++) (await begin(session, "ListMessages")).pause().end(list);
    }
    await expect.poll(() => cut("answer_limit"), { timeout: 10_000 }).toBeGreaterThanOrEqual(3);
    expect(await metric("tidings_unread_answer_bytes")).toBeLessThanOrEqual(3 * mebibyte);
    const other = await begin(openSession(), "ListUnread", { sub: "bob" });
    other.end("{}");
    expect(JSON.parse(await read(other))).toHaveProperty("unread");
  });

  test("lets further calls of its connection wait beyond connectionBytes, until it is read", async () => {
    await start({ inFlight: { connectionBytes: 2 * mebibyte } });
    const session = openSession();
    const streams: ClientHttp2Stream[] = [];
    for (let call = 0; call < 6; call++) {
      const stream = await begin(session, "ListMessages");
      stream.pause().end(list);
      streams.push(stream);
    }
    await expect.poll(() => metric("tidings_unread_answer_bytes"), { timeout: 10_000 }).toBeGreaterThan(mebibyte);
    // A small call passes them, and shows that the connection is served.
    const mark = await begin(session, "MarkRead");
    mark.end('{"messageIds": ["none"]}');
    await read(mark);
    expect(await metric("tidings_unread_answer_bytes")).toBeLessThanOrEqual(2 * mebibyte);
    const lengths = (await Promise.all(streams.map(read))).map(({ length }) => length);
    expect(Math.min(...lengths)).toBeGreaterThan(900_000);
    await expect.poll(() => metric("tidings_unread_answer_bytes")).toBe(0);
  });
});

test("A call that has arrived whole may wait for room on its connection longer than requestMs", async () => {
  await start({ inFlight: { connectionBytes: mebibyte }, timeouts: { headersMs: 1_000, requestMs: 1_000 } });
  const session = openSession();
  const unread = await begin(session, "ListMessages");
  unread.pause().end(list);
  await expect.poll(() => metric("tidings_unread_answer_bytes"), { timeout: 10_000 }).toBeGreaterThan(900_000);
  const waiting = await begin(session, "ListMessages");
  waiting.end(list);
  const answer = read(waiting);
  // One whose body does not arrive is reset once the time is over, and the one before it has been there for longer.
  const unfinished = await begin(session, "MarkRead");
  unfinished.write("{");
  await once(unfinished, "close");
  await read(unread);
  expect((await answer).length).toBeGreaterThan(900_000);
});

describe("The HTTP/2 connection of a proxy, when one of its users reaches connectionBytes,", () => {
  test("has room for the lists of other users while requests of that user do not arrive whole", async () => {
    await start({ inFlight: { connectionBytes: 2 * mebibyte } });
    const session = openSession();
    const unfinished: ClientHttp2Stream[] = [];
    for (let call = 0; call < 4; call++) {
      const stream = await begin(session, "ListMessages");
      stream.write("{");
      unfinished.push(stream);
    }
    const other = await begin(session, "ListUnread", { sub: "bob" });
    other.end("{}");
    expect(JSON.parse(await read(other))).toHaveProperty("unread");
    for (const stream of unfinished) stream.end("}");
    for (const answer of await Promise.all(unfinished.map(read))) expect(JSON.parse(answer)).toHaveProperty("messages");
  });

  test("has room for the bodies of other users while those of that user do not arrive whole", async () => {
    await start({ inFlight: { connectionBytes: 2 * mebibyte } });
    const session = openSession();
    const body = JSON.stringify({ audience: { roomId: "dm/bob/bob" }, message: { kind: "KIND_EVENT", event: "e" } });
    const length = String(mebibyte);
    for (let call = 0; call < 3; call++) {
      const stream = await begin(session, "Publish", { "content-length": length });
      stream.write(body.padEnd(mebibyte / 2, " "));
    }
    await expect.poll(() => metric("tidings_unfinished_body_bytes"), { timeout: 10_000 }).toBe(2 * mebibyte);
    const other = await begin(session, "Publish", { sub: "bob", "content-length": length });
    other.end(body.padEnd(mebibyte, " "));
    expect(JSON.parse(await read(other))).toHaveProperty("messageId");
  });
});

describe("Pipelined calls of HTTP/1.1", () => {
  const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

  test("are answered in order", async () => {
    await start({});
    const socket = connectTcp(server.port, "127.0.0.1").setEncoding("latin1");
    socket.write(`${request(`${service}/ListUnread`)}${request("/livez")}`.repeat(100));
    let received = "";
    socket.on("data", (chunk) => (received += chunk));
    await expect.poll(() => received.match(/^HTTP\/1\.1 /gm)?.length, { timeout: 10_000 }).toBe(200);
    const statuses = [...received.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status);
    expect(new Set(statuses.filter((_, index) => index % 2 === 1))).toEqual(new Set(["200"]));
    expect(new Set(statuses.filter((_, index) => index % 2 === 0))).not.toContain("200");
    socket.destroy();
  });

  test("are cut with the 251st that waits", async () => {
    await start({});
    const socket = connectTcp(server.port, "127.0.0.1").on("error", () => {});
    socket.write(request(`${service}/ListUnread`).repeat(400));
    await once(socket.resume(), "close");
  });
});

describe("Bodies that do not arrive whole", () => {
  /** A message to ann alone whose request is as long as these bytes. */
  const publish = (bytes: number) =>
    JSON.stringify({ audience: { roomId: room }, message: { kind: "KIND_EVENT", event: "e" } }).padEnd(bytes, " ");

  test("of one HTTP/2 connection wait beyond connectionBytes, and small calls pass them", async () => {
    await start({ inFlight: { connectionBytes: 2 * mebibyte } });
    const session = openSession();
    const length = mebibyte;
    const streams: ClientHttp2Stream[] = [];
    for (let call = 0; call < 20; call++) {
      const stream = await begin(session, "Publish", { "content-length": String(length) });
      stream.write(publish(length).slice(0, length - 1));
      streams.push(stream);
    }
    await expect.poll(() => metric("tidings_unfinished_body_bytes"), { timeout: 10_000 }).toBe(2 * mebibyte);
    const small = await begin(session, "Publish");
    small.end(publish(100));
    expect(JSON.parse(await read(small))).toHaveProperty("messageId");
    expect(await metric("tidings_unfinished_body_bytes")).toBe(2 * mebibyte);
    // All of them complete, one after another.
    for (const stream of streams) stream.end(" ");
    for (const answer of await Promise.all(streams.map(read))) expect(JSON.parse(answer)).toHaveProperty("messageId");
    expect(await metric("tidings_unfinished_body_bytes")).toBe(0);
  });

  test.each<[string, string]>([
    ["Connect", "application/json"],
    ["gRPC", "application/grpc+json"],
    ["gRPC-Web", "application/grpc-web+json"],
  ])("of a user are refused over %s beyond userBytes, with the limit and a delay", async (_name, contentType) => {
    await start({ inFlight: { userBytes: 2 * mebibyte } });
    const length = 1.5 * mebibyte;
    const half = Buffer.from(publish(length)).subarray(0, mebibyte);
    const part =
      contentType === "application/json" ? half : Buffer.concat([enveloped(Buffer.alloc(length)).subarray(0, 5), half]);
    const first = await begin(openSession(), "Publish", { contentType, "content-length": String(length + 5) });
    first.write(part);
    await expect.poll(() => metric("tidings_unfinished_body_bytes"), { timeout: 10_000 }).toBeGreaterThan(mebibyte);
    const second = await begin(openSession(), "Publish", { contentType, "content-length": String(length + 5) });
    let status: unknown;
    second.on("response", (headers) => (status = headers["grpc-status"] ?? headers[":status"]));
    second.on("trailers", (headers) => (status = headers["grpc-status"]));
    second.write(part);
    const answer = await read(second);
    if (contentType === "application/json") {
      expect(status).toBe(429);
      const { details } = JSON.parse(answer) as { details: { debug?: object }[] };
      const debug = details.map((detail) => detail.debug);
      const metadata = { option: "inFlight.userBytes", limit: String(2 * mebibyte) };
      expect(debug).toContainEqual(expect.objectContaining({ reason: "TOO_MUCH_IN_FLIGHT", metadata }));
      expect(debug).toContainEqual({ retryDelay: expect.stringMatching(/^[12](\.\d+)?s$/) });
    } else if (contentType.includes("web")) expect(answer).toContain("grpc-status: 8");
    else expect(status).toBe("8");
    expect(await cut("body_limit")).toBe(1);
    first.close();
    await expect.poll(() => metric("tidings_unfinished_body_bytes")).toBe(0);
  });

  test("stay while they arrive slowly, and those that have stopped give way", async () => {
    await start({ inFlight: { nodeBytes: 3 * mebibyte } });
    const length = 1.5 * mebibyte;
    const whole = publish(length);
    const headers = { "content-length": String(length) };
    const moving = await begin(openSession(), "Publish", headers);
    moving.write(whole.slice(0, 100_000));
    await expect.poll(() => metric("tidings_unfinished_body_bytes"), { timeout: 10_000 }).toBe(length);
    const stopped = await begin(openSession(), "Publish", headers);
    stopped.write(whole.slice(0, 100_000));
    await expect.poll(() => metric("tidings_unfinished_body_bytes"), { timeout: 10_000 }).toBe(2 * length);
    let sent = 100_000;
    const publishMore = async () => {
      moving.write(whole.slice(sent, sent + 70_000));
      sent += 70_000;
      const next = await begin(openSession(), "Publish", headers);
      next.end(whole);
      return JSON.parse(await read(next));
    };
    await expect.poll(publishMore, { timeout: 10_000, interval: 200 }).toHaveProperty("messageId");
    expect(await read(stopped)).toContain("TOO_MUCH_IN_FLIGHT");
    moving.end(whole.slice(sent));
    expect(JSON.parse(await read(moving))).toHaveProperty("messageId");
  });

  test("over HTTP/1.1 give way to newer ones once they have not moved for a second", async () => {
    await start({ inFlight: { nodeBytes: 2 * mebibyte } });
    const length = 1.5 * mebibyte;
    const authorization = `Bearer ${await server.token({ tenant, sub: "ann" })}`;
    const socket = connectTcp(server.port, "127.0.0.1")
      .setEncoding("latin1")
      .on("error", () => {});
    let received = "";
    socket.on("data", (chunk) => (received += chunk));
    socket.write(
      `POST ${service}/Publish HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${publish(length).slice(0, mebibyte)}`,
    );
    await expect.poll(() => metric("tidings_unfinished_body_bytes"), { timeout: 10_000 }).toBe(length);
    const publishAsBob = async () => {
      const headers = {
        authorization: `Bearer ${await server.token({ tenant, sub: "bob" })}`,
        "content-type": "application/json",
      };
      const body = publish(length).replaceAll(room, "dm/bob/bob");
      return (await fetch(`${server.url}${service}/Publish`, { method: "POST", headers, body })).status;
    };
    await expect.poll(publishAsBob, { timeout: 10_000, interval: 200 }).toBe(200);
    await expect.poll(() => received).toMatch(/^HTTP\/1\.1 429 .*TOO_MUCH_IN_FLIGHT/s);
    socket.destroy();
  });
});
