import { connect } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
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

/** Waits until both servers have left the same traces, and compares them. */
async function expectSameTraces(): Promise<void> {
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

const runs = (numRuns: number) => ({ numRuns, seed: 1, endOnFailure: true });

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
    await fc.assert(property, runs(2_000));
    // Many requests have to take the handler that this is about, with many outcomes.
    expect(twins.short.taken - before).toBeGreaterThan(500);
    expect(statuses.get("200")).toBeGreaterThan(100);
    expect(statuses.get("400")).toBeGreaterThan(100);
    expect(statuses.size).toBeGreaterThan(7);
  }, 180_000);
});
