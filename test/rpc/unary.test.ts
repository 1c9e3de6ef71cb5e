import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import { connect, type Socket } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { fail } from "../../src/errors.ts";
import { tick } from "../support/clock.ts";
import { mintToken } from "../support/token.ts";
import { haveSameTraces, startTwins, type Twin, type Twins } from "./twins.ts";
import { type Tokens, type WireRequest, wireRequests } from "./wire-requests.ts";

let twins: Twins;
let tokens: Tokens;

beforeAll(async () => {
  twins = await startTwins();
  const now = Math.floor(Date.now() / 1000);
  tokens = {
    user: await mintToken(),
    service: await mintToken({ claims: { role: "service", sub: "backend" } }),
    admin: await mintToken({ claims: { role: "admin", sub: "root", tenant: undefined } }),
    expired: await mintToken({ claims: { exp: now - 60 } }),
  };
});

afterAll(() => twins.close());

beforeEach(() => {
  for (const twin of [twins.short, twins.stock]) {
    twin.hold = undefined;
    twin.forget();
  }
});

/** Waits until both servers have left the same traces, and compares them. */
async function expectSameTraces(): Promise<void> {
  await Promise.all([twins.short.settle(), twins.stock.settle()]);
  await vi
    .waitFor(() => expect(haveSameTraces(twins)).toBe(true), { timeout: 5_000, interval: 1 })
    .catch(() => {
      expect(twins.short.traces).toEqual(twins.stock.traces);
    });
  twins.short.forget();
  twins.stock.forget();
}

/** How a request is framed over HTTP/1.1. */
interface Framing {
  readonly version: string;
  readonly host: readonly string[];
  readonly length: "known" | "chunked" | "both" | "none" | "short" | "long" | "nonsense";
  readonly expect: string | undefined;
  /** The size of the pieces in which the bytes are sent. */
  readonly pieces: number;
}

const framings = fc.record<Framing>({
  version: fc.oneof({ arbitrary: fc.constant("1.1"), weight: 12 }, { arbitrary: fc.constant("1.0"), weight: 1 }),
  host: fc.oneof(
    { arbitrary: fc.constant(["x"]), weight: 12 },
    {
      arbitrary: fc.constantFrom([], ["a b"], ["["], ["999.1.1.1.1"], ["x:99999"], ["user@x"], ["x", "y"], [""]),
      weight: 1,
    },
  ),
  length: fc.oneof(
    { arbitrary: fc.constant("known" as const), weight: 10 },
    { arbitrary: fc.constant("chunked" as const), weight: 4 },
    { arbitrary: fc.constantFrom("both", "none", "short", "long", "nonsense"), weight: 1 },
  ),
  expect: fc.oneof(
    { arbitrary: fc.constant(undefined), weight: 14 },
    { arbitrary: fc.constantFrom("100-continue", "something"), weight: 1 },
  ),
  pieces: fc.constantFrom(10_000_000, 10_000_000, 40_000, 700),
});

/** The bytes of a request over HTTP/1.1. */
function bytesOf(request: WireRequest, framing: Framing, connection: string): Buffer {
  const { verb, path, headers, body } = request;
  const lines = [`${verb} ${path} HTTP/${framing.version}`, ...framing.host.map((host) => `Host: ${host}`)];
  for (const [name, value] of headers) lines.push(`${name}: ${value}`);
  if (framing.expect !== undefined) lines.push(`Expect: ${framing.expect}`);
  lines.push(`Connection: ${connection}`);
  const { length } = framing;
  const size = body.length + (length === "long" ? 5 : length === "short" ? -Math.min(5, body.length) : 0);
  const hasLength = length === "known" || length === "both" || length === "short" || length === "long";
  if (hasLength) lines.push(`Content-Length: ${size}`);
  if (length === "nonsense") lines.push("Content-Length: 1x");
  const isChunked = length === "chunked" || length === "both";
  if (isChunked) lines.push("Transfer-Encoding: chunked");
  const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  if (!isChunked) return Buffer.concat([head, body]);
  const chunks: Buffer[] = [head];
  for (let at = 0; at < body.length; at += 30_000) {
    const part = body.subarray(at, at + 30_000);
    chunks.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n"));
  }
  return Buffer.concat([...chunks, Buffer.from("0\r\n\r\n")]);
}

/**
 * Sends bytes, in pieces, and returns all that comes back until the connection closes. A request that is not whole is given
 * up once the server has begun its call or answered.
 */
async function exchange(twin: Twin, bytes: Buffer, pieces: number, isWhole: boolean): Promise<string> {
  const socket = connect({ port: twin.port, host: "127.0.0.1", noDelay: true });
  const received: Buffer[] = [];
  socket.on("data", (data: Buffer) => void received.push(data));
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  for (let at = 0; at < bytes.length && !socket.destroyed; at += pieces) {
    socket.write(bytes.subarray(at, at + pieces));
    await tick();
  }
  if (!isWhole) {
    while (received.length === 0 && twin.traces.length === 0) await tick();
    socket.end();
  }
  await closed;
  return Buffer.concat(received)
    .toString("latin1")
    .replace(/^Date: .*$/gim, "Date: then");
}

/** Sends the same to both servers, and expects the same answers and traces. Returns the answer. */
async function expectSame(bytes: Buffer, pieces = bytes.length, isWhole = true): Promise<string> {
  const [short, stock] = await Promise.all([
    exchange(twins.short, bytes, pieces, isWhole),
    exchange(twins.stock, bytes, pieces, isWhole),
  ]);
  expect(short).toBe(stock);
  await expectSameTraces();
  return short;
}

/** Expects that both servers end the same call in the same way once `abort` has given it up, while their stores wait. */
async function expectSameEnd(begin: (twin: Twin) => Promise<() => void>): Promise<void> {
  const held = Promise.withResolvers<void>();
  for (const twin of [twins.short, twins.stock]) twin.hold = () => held.promise;
  const aborts = await Promise.all([begin(twins.short), begin(twins.stock)]);
  for (const abort of aborts) abort();
  await vi.waitFor(() => {
    for (const { traces } of [twins.short, twins.stock]) expect(JSON.stringify(traces)).toContain("rpc_server_call");
  });
  held.resolve();
  for (const twin of [twins.short, twins.stock]) twin.hold = undefined;
  await expectSameTraces();
}

/** Waits until the call has passed the gate. */
async function begun({ traces }: Twin): Promise<void> {
  await vi.waitFor(() => expect(traces).toContainEqual(expect.arrayContaining(["span"])), { interval: 1 });
}

const publishPath = "/tidings.v1.PushService/Publish";
const publishBody = '{"audience":{"userId":"ann"},"message":{"kind":"KIND_NOTIFICATION","title":"given up"}}';

/** The headers of a publish by the service. */
function publishHeaders(more: Record<string, string> = {}): Record<string, string> {
  return { "content-type": "application/json", authorization: `Bearer ${tokens.service}`, ...more };
}

/** The bytes of a publish over HTTP/1.1. */
function publishBytes(more: Record<string, string> = {}): string {
  const headers = { host: "x", "content-length": String(publishBody.length), ...publishHeaders(more) };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${publishPath} HTTP/1.1\r\n${lines.join("")}\r\n${publishBody}`;
}

async function open({ port }: Twin): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  return socket;
}

async function openHttp2({ port }: Twin): Promise<ClientHttp2Session> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  await new Promise((resolve) => session.once("connect", resolve));
  return session;
}

/** Sends a request over HTTP/2, and returns the response as one text. */
async function exchangeHttp2(
  session: ClientHttp2Session,
  { verb, path, headers, body }: WireRequest,
  length: number | undefined,
  pieces: number,
): Promise<string> {
  const fields: Record<string, string | string[]> = { ":method": verb, ":path": path };
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    const isOnce = lower === "content-type" || lower === "authorization" || lower === "content-encoding";
    const before = fields[lower];
    fields[lower] = before === undefined || isOnce ? value : [before, value].flat();
  }
  if (length !== undefined) fields["content-length"] = String(length);
  const stream = session.request(fields, { endStream: false });
  let answer = "";
  stream.on("response", (given) => {
    answer = JSON.stringify({ ...given, date: "then" });
  });
  stream.on("data", (data: Buffer) => {
    answer += data.toString("latin1");
  });
  stream.on("error", () => {});
  const closed = new Promise((resolve) => stream.once("close", resolve));
  for (let at = 0; at < body.length && !stream.destroyed; at += pieces) {
    stream.write(body.subarray(at, at + pieces));
    if (at + pieces < body.length) await tick();
  }
  stream.end();
  await closed;
  return `${answer} ${stream.rstCode}`;
}

/** The part of the requests that the short form sends; `npm run test:conformance` sends all of them. */
const share = process.env.TIDINGS_TEST_CONFORMANCE === "whole" ? 1 : 0.4;
const runs = (numRuns: number) => ({ numRuns: Math.ceil(numRuns * share), seed: 1, endOnFailure: true });

describe("The short handler of unary calls answers byte for byte as Connect's does", () => {
  test("over HTTP/1.1, whatever one request says", async () => {
    const before = twins.short.taken;
    const statuses = new Map<string, number>();
    const property = fc.asyncProperty(wireRequests(tokens), framings, async (request, framing) => {
      const answer = await expectSame(bytesOf(request, framing, "close"), framing.pieces, framing.length !== "long");
      const status = answer.slice(9, 12);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      await twins.advance(200);
    });
    await fc.assert(property, runs(1_500));
    // Many requests have to take the handler that this is about, with many outcomes.
    expect(twins.short.taken - before).toBeGreaterThan(400 * share);
    expect(statuses.get("200")).toBeGreaterThan(100 * share);
    expect(statuses.get("400")).toBeGreaterThan(100 * share);
    expect(statuses.size).toBeGreaterThan(7);
  }, 180_000);

  test("over HTTP/1.1, whatever pipelined requests say", async () => {
    const before = twins.short.taken;
    const framed = fc.tuple(
      wireRequests(tokens),
      fc.constantFrom<Framing["length"]>("known", "known", "chunked", "none"),
    );
    const property = fc.asyncProperty(
      fc.array(framed, { minLength: 2, maxLength: 6 }),
      fc.constantFrom(10_000_000, 3_000),
      async (all, pieces) => {
        const bytes = all.map(([request, length], index) => {
          const framing: Framing = { version: "1.1", host: ["x"], length, expect: undefined, pieces };
          return bytesOf(request, framing, index === all.length - 1 ? "close" : "keep-alive");
        });
        await expectSame(Buffer.concat(bytes), pieces);
        await twins.advance(500);
      },
    );
    await fc.assert(property, runs(120));
    expect(twins.short.taken - before).toBeGreaterThan(100 * share);
  }, 180_000);

  test("over HTTP/2, whatever a request says", async () => {
    const before = twins.short.taken;
    const lengths = fc.constantFrom("known", "none", "none", "none", "short", "long");
    const sessions = new Map<Twin, ClientHttp2Session>();
    // A request that breaks the rules of HTTP/2 may end its connection.
    const session = async (twin: Twin) => {
      const known = sessions.get(twin);
      const usable = known && !known.closed && !known.destroyed ? known : await openHttp2(twin);
      sessions.set(twin, usable);
      return usable;
    };
    const property = fc.asyncProperty(
      wireRequests(tokens),
      lengths,
      fc.constantFrom(10_000_000, 700, 40_000),
      async (request, kind, pieces) => {
        const size = request.body.length;
        const length = { known: size, none: undefined, short: Math.max(0, size - 5), long: size + 5 }[kind];
        const call = async (twin: Twin) => exchangeHttp2(await session(twin), request, length, pieces);
        const [short, stock] = await Promise.all([call(twins.short), call(twins.stock)]);
        expect(short).toBe(stock);
        await expectSameTraces();
        await twins.advance(200);
      },
    );
    await fc.assert(property, runs(600));
    for (const session of sessions.values()) session.destroy();
    expect(twins.short.taken - before).toBeGreaterThan(180 * share);
  }, 180_000);

  test("when the store fails, and when something unexpected happens", async () => {
    const failures = [
      fail("STORE_UNAVAILABLE", "come back later", { cause: new Error("the disk is full"), retryAfterMs: 1_000 }),
      new TypeError("a bug"),
      new ConnectError("with metadata", Code.Aborted, { "x-b": "2", "x-a": "1", "content-type": "no", "x-more": "3" }),
    ];
    for (const failure of failures) {
      for (const twin of [twins.short, twins.stock]) twin.hold = () => Promise.reject(failure);
      await expectSame(Buffer.from(publishBytes({ connection: "close" })));
      await expectSame(Buffer.from(publishBytes({ connection: "close", "accept-encoding": "gzip" })));
      for (const twin of [twins.short, twins.stock]) twin.hold = undefined;
    }
  });
});

describe("A call that the short handler serves ends as Connect's does", () => {
  test("when its deadline passes, with the answer that comes later", async () => {
    const answers: Promise<string>[] = [];
    await expectSameEnd(async (twin) => {
      answers.push(
        exchange(twin, Buffer.from(publishBytes({ connection: "close", "connect-timeout-ms": "50" })), 10_000, true),
      );
      await begun(twin);
      return () => {};
    });
    const [short, stock] = await Promise.all(answers);
    expect(short).toContain("HTTP/1.1 200");
    expect(short).toBe(stock);
  });

  test("when the connection of HTTP/1.1 breaks, by a reset or by its end", async () => {
    for (const end of [(socket: Socket) => socket.resetAndDestroy(), (socket: Socket) => void socket.end()]) {
      await expectSameEnd(async (twin) => {
        const socket = await open(twin);
        socket.write(publishBytes());
        await begun(twin);
        return () => end(socket);
      });
    }
  });

  test("when the connection of HTTP/1.1 breaks amid the body", async () => {
    for (const end of [(socket: Socket) => socket.resetAndDestroy(), (socket: Socket) => void socket.end()]) {
      await expectSameEnd(async (twin) => {
        const socket = await open(twin);
        socket.write(publishBytes().slice(0, -20));
        await begun(twin);
        return () => end(socket);
      });
    }
  });

  test.each([true, false])(
    "when a stream of HTTP/2 is reset, with any code; the request is whole: %s",
    async (whole) => {
      for (let code = constants.NGHTTP2_NO_ERROR; code <= constants.NGHTTP2_HTTP_1_1_REQUIRED + 1; code++) {
        const sessions: ClientHttp2Session[] = [];
        await expectSameEnd(async (twin) => {
          const session = await openHttp2(twin);
          sessions.push(session);
          const stream = session.request({ ":method": "POST", ":path": publishPath, ...publishHeaders() });
          stream.on("error", () => {});
          if (whole) stream.end(publishBody);
          else stream.write(publishBody.slice(0, -20));
          await begun(twin);
          return () => stream.close(code);
        });
        for (const session of sessions) session.destroy();
      }
    },
  );

  test("when the connection of HTTP/2 breaks", async () => {
    await expectSameEnd(async (twin) => {
      const session = await openHttp2(twin);
      session.request({ ":method": "POST", ":path": publishPath, ...publishHeaders() }).end(publishBody);
      await begun(twin);
      return () => session.destroy();
    });
  });
});
