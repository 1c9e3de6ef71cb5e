import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { PushService } from "../../src/gen.ts";
import type { RegisteredStream } from "../../src/stream/registry.ts";
import type { Subscription } from "../../src/stream/subscription.ts";
import { tick, ticks } from "../support/clock.ts";
import { publishRequest, serviceOf, toEveryone, toTenant, toUser } from "../support/core.ts";
import { mintToken } from "../support/token.ts";
import { wildRequest } from "../support/wild-requests.ts";
import { haveSameTraces, startTwins, type Twin, type Twins } from "./twins.ts";
import { credentials, extras, type Fields, mostly, type Tokens } from "./wire-requests.ts";

let twins: Twins;
let tokens: Tokens;
let published = 0;

beforeAll(async () => {
  twins = await startTwins();
  const now = Math.floor(Date.now() / 1000);
  tokens = {
    user: await mintToken({ claims: { rooms: ["team/*"] } }),
    service: await mintToken({ claims: { role: "service", sub: "backend" } }),
    admin: await mintToken({ claims: { role: "admin", sub: "root", tenant: undefined } }),
    expired: await mintToken({ claims: { exp: now - 60 } }),
  };
});

afterAll(() => twins.close());

/** The deadline of streams that are late. */
const deadlineMs = 400;

/** What happens to a stream that is open. Each leads to its end, or to that of its connection. */
type Ending = "drained" | "closed" | "failed" | "disconnected" | "away" | "late";
const endings: Ending[] = ["drained", "closed", "failed", "disconnected", "away"];

/** A request on the wire, and what happens to its stream. */
interface Case {
  readonly bytes: Buffer;
  /** The size of the pieces in which the bytes are sent. */
  readonly pieces: number;
  readonly messages: number;
  readonly ending: Ending;
}

function envelope(message: Uint8Array, flags = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

const good = [
  "{}",
  '{"onlineCount":true}',
  '{"kinds":["KIND_EVENT"]}',
  '{"categories":["a"],"instanceId":"x"}',
  '{"positions":[{"feed":"user","epoch":0,"seq":"0"},{"feed":"everyone","seq":"1"}]}',
  '{"positions":[{"feed":"tenant","epoch":9,"seq":"4"}]}',
  '{"positions":[{"feed":"user","epoch":0,"seq":"1000000"}]}',
  '{"positions":[{"feed":"user","seq":"1"},{"feed":"user","seq":"1"}]}',
  '{"rooms":[{"roomId":"team/1"},{"roomId":"secret"}]}',
  '{"rooms":[{"roomId":"/"}]}',
  '{"kinds":[0]}',
  '{"unknown":1}',
  '{"positions":[{"feed":"user","seq":12345678901234567890}]}',
  "",
  "[]",
];

function message(isJson: boolean): fc.Arbitrary<Buffer> {
  const wild = wildRequest(PushService.method.subscribe.input).map(({ binary, json }) =>
    Buffer.from(isJson ? json : binary),
  );
  const usual = isJson ? fc.constantFrom(...good).map((json) => Buffer.from(json)) : fc.constant(Buffer.alloc(0));
  return fc.oneof({ arbitrary: usual, weight: 5 }, { arbitrary: wild, weight: 1 });
}

function body(isJson: boolean): fc.Arbitrary<Buffer> {
  const one = message(isJson);
  const odd = fc.oneof(
    fc.tuple(one, fc.nat(30)).map(([bytes, at]) => envelope(bytes).subarray(0, at % (bytes.length + 5))),
    fc.tuple(one, one).map(([a, b]) => Buffer.concat([envelope(a), envelope(b)])),
    fc.tuple(one, fc.constantFrom(1, 2, 3, 4, 128, 255)).map(([bytes, flags]) => envelope(bytes, flags)),
    one.map((bytes) => envelope(gzipSync(bytes), 1)),
    one.map((bytes) => Buffer.concat([envelope(bytes), envelope(Buffer.from("{}"), 2)])),
    fc.tuple(one, fc.constantFrom(0, 1, 100, 262_145, 2 ** 32 - 1)).map(([bytes, n]) => envelope(bytes, 0, n)),
    fc.constantFrom(Buffer.alloc(0), envelope(Buffer.alloc(262_144, 0x20)), envelope(Buffer.alloc(262_145, 0x20))),
  );
  return fc.oneof({ arbitrary: one.map((bytes) => envelope(bytes)), weight: 6 }, { arbitrary: odd, weight: 1 });
}

function contentTypes(isJson: boolean): fc.Arbitrary<Fields> {
  const name = `application/connect+${isJson ? "json" : "proto"}`;
  return mostly<Fields>(
    [[["content-type", name]], [["Content-Type", name]]],
    [
      [],
      [["content-type", `${name}; charset=utf-8`]],
      [["content-type", name.toUpperCase()]],
      [["content-type", "application/connect"]],
      [["content-type", "application/json"]],
      [["content-type", "application/grpc-web+proto"]],
      [
        ["content-type", name],
        ["content-type", "text/plain"],
      ],
    ],
  );
}

const encodings: Fields[] = ["identity", "gzip", "br", "nonsense", ""].map((name) => [
  ["connect-content-encoding", name],
]);
const accepted: Fields[] = ["gzip", "br, gzip", "identity", "", "zstd,br", "x", "gzip;q=0"].map((names) => [
  ["connect-accept-encoding", names],
]);

function cases(): fc.Arbitrary<Case> {
  return mostly([true, true, false], [true]).chain((isJson) =>
    fc
      .record({
        verb: mostly(["POST"], ["GET", "PUT"]),
        query: mostly([""], ["?", "?a=b"]),
        version: mostly(["1.1"], ["1.0"]),
        host: mostly(["x"], ["a b", "["]),
        framing: mostly(["known", "known", "chunked"] as const, ["short", "none"] as const),
        pieces: fc.constantFrom(10_000_000, 10_000_000, 10_000_000, 5_000, 100),
        fields: fc.tuple(
          contentTypes(isJson),
          credentials(tokens),
          mostly<Fields>([[]], encodings),
          fc.oneof(fc.constant<Fields>([]), fc.constantFrom(...accepted)),
          ...extras,
        ),
        body: body(isJson),
        // A call before it on the same connection, which fails.
        isSecond: mostly([false], [true]),
        messages: fc.constantFrom(0, 0, 1, 2),
        // Each stream that is late waits for its deadline.
        ending: mostly<Ending>(endings, ["late"]),
      })
      .map(({ verb, query, version, host, framing, pieces, fields, body, isSecond, messages, ending }) => {
        const path = `/${PushService.typeName}/${PushService.method.subscribe.name}${query}`;
        const lines = [`${verb} ${path} HTTP/${version}`, `Host: ${host}`, "Connection: close"];
        for (const [name, value] of fields.flat()) lines.push(`${name}: ${value}`);
        if (ending === "late") lines.push(`connect-timeout-ms: ${deadlineMs}`);
        const length = body.length - (framing === "short" ? Math.min(5, body.length) : 0);
        if (framing === "chunked") lines.push("Transfer-Encoding: chunked");
        else if (framing !== "none") lines.push(`Content-Length: ${length}`);
        const size = `${body.length.toString(16)}\r\n`;
        const chunks = body.length > 0 ? [Buffer.from(size), body, Buffer.from("\r\n")] : [];
        const framed = framing === "chunked" ? [...chunks, Buffer.from("0\r\n\r\n")] : [body];
        const first = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\nContent-Length: 0\r\n\r\n`;
        const head = `${isSecond ? first : ""}${lines.join("\r\n")}\r\n\r\n`;
        const bytes = Buffer.concat([Buffer.from(head, "latin1"), ...framed]);
        return { bytes, pieces, messages, ending };
      }),
  );
}

/** A request that was sent, and what has come back. */
class Sent {
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #received: Buffer[] = [];

  constructor(twin: Twin) {
    this.#socket = connect({ port: twin.port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (data: Buffer) => void this.#received.push(data));
    this.#socket.on("error", () => {});
    this.closed = new Promise((resolve) => this.#socket.once("close", () => resolve()));
  }

  async send({ bytes, pieces }: Case): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#socket.destroyed; at += pieces) {
      this.#socket.write(bytes.subarray(at, at + pieces));
      await tick();
    }
  }

  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  get text(): string {
    return Buffer.concat(this.#received)
      .toString("latin1")
      .replace(/^Date: .*$/gim, "Date: then");
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

function streamsOf({ core }: Twin): RegisteredStream[] {
  const streams: RegisteredStream[] = [];
  core.context.streams.count((stream) => streams.push(stream) > 0);
  return streams;
}

function finish(twin: Twin, sent: Sent, ending: Ending): void {
  for (const stream of streamsOf(twin)) {
    if (ending === "drained") stream.drain(1_500, "the server is going away");
    else if (ending === "closed") stream.close();
    else if (ending === "failed") (stream as Subscription).failed(new Error("a bug"));
    else if (ending === "disconnected") {
      (stream as Subscription).disconnected({
        type: "disconnect",
        tenant: "acme",
        user: "ann",
        tokenId: "",
        reason: "x",
      });
      if (streamsOf(twin).length > 0) stream.drain(0, "it is of no user");
    }
  }
  if (ending === "away") sent.destroy();
}

/** Publishes to every stream, in the category with this number: many categories make Hello large enough to be compressed. */
async function publish({ core }: Twin, category: number): Promise<void> {
  const drafts = [
    publishRequest(toUser("ann"), { title: "small", category: `category-${category % 90}` }),
    publishRequest(toTenant, { title: "large", content: "many words ".repeat(300) }),
    publishRequest(toEveryone, { title: "all" }),
  ];
  await core.publisher.publish({ ...serviceOf("acme"), tenant: undefined, role: "admin" } as never, drafts.slice(2));
  await core.publisher.publish(serviceOf("acme"), drafts.slice(0, 2));
}

/** Makes the request of both servers, and expects the same bytes, log lines and metrics. Returns the bytes. */
async function expectSame(each: Case): Promise<string> {
  const both = [twins.short, twins.stock] as const;
  const start = performance.now();
  const sent = both.map((twin) => new Sent(twin)) as [Sent, Sent];
  await Promise.all(sent.map((one) => one.send(each)));
  const isSettled = (twin: Twin, one: Sent) =>
    one.isClosed || (streamsOf(twin).length > 0 && twin.core.context.streams.beginning() === 0 && one.text !== "");
  // On a machine that is too busy, the deadline passes at two different points of the opening.
  const isTooLate = () => each.ending === "late" && performance.now() - start >= deadlineMs;
  // Both are open or over, have sent the same, and wait for nothing: the clock of neither goes on too early.
  const settle = async () => {
    for (let calm = 0; calm < 3; calm++) {
      await Promise.all(both.map((twin) => twin.settle()));
      await ticks(3);
      await vi.waitFor(
        () => {
          if (isTooLate()) return;
          expect(both.every((twin, index) => isSettled(twin, sent[index] as Sent))).toBe(true);
          expect(sent[0].text).toBe(sent[1].text);
          expect(sent[0].isClosed).toBe(sent[1].isClosed);
        },
        { timeout: 8_000, interval: 1 },
      );
    }
  };
  if (each.ending !== "late") {
    await settle();
    for (let count = 0; count < each.messages; count++) {
      published++;
      await Promise.all(both.map((twin) => publish(twin, published)));
      await settle();
    }
    await twins.advance(26_000);
    await settle();
    both.forEach((twin, index) => void finish(twin, sent[index] as Sent, each.ending));
  }
  const areClosed = () => expect(sent.map(({ isClosed }) => isClosed)).toEqual([true, true]);
  let isIdle = true;
  if (each.ending === "late") {
    await settle();
    isIdle = !isTooLate();
    // Other protocols than Connect do not know the header of the deadline.
    await vi.waitFor(areClosed, 1_000).catch(() => {
      both.forEach((twin, index) => void finish(twin, sent[index] as Sent, "drained"));
    });
  }
  await vi.waitFor(areClosed, 8_000);
  if (isIdle) {
    expect(sent[0].text).toBe(sent[1].text);
    await vi
      .waitFor(() => expect(haveSameTraces(twins)).toBe(true), { timeout: 5_000, interval: 1 })
      .catch(() => expect(twins.short.traces).toEqual(twins.stock.traces));
  }
  await vi.waitFor(() => expect(both.map((twin) => streamsOf(twin).length)).toEqual([0, 0]));
  // Let the traces of a call that was not compared come before they are forgotten.
  if (!isIdle) await ticks(10);
  for (const twin of both) twin.forget();
  return sent[0].text;
}

test("The short handler of Subscribe answers byte for byte as Connect's does, whatever a request says and however it ends", async () => {
  const before = twins.short.taken;
  const seen = new Map<string, number>();
  const property = fc.asyncProperty(cases(), async (each) => {
    const text = await expectSame(each).catch((error: unknown) => {
      throw new Error(`${each.ending} ${each.bytes.toString("latin1").slice(0, 900)}`, { cause: error });
    });
    for (const word of [
      text.slice(9, 12),
      ...(text.match(/"reason":"[A-Z_]+"|caughtUp|heartbeat|"code":"[a-z_]+"/g) ?? []),
    ]) {
      seen.set(word, (seen.get(word) ?? 0) + 1);
    }
    await twins.advance(2_000);
  });
  // The whole form, of `npm run test:conformance`, makes twice as many requests.
  const share = process.env.TIDINGS_TEST_CONFORMANCE === "whole" ? 1 : 0.5;
  await fc.assert(property, { numRuns: 300 * share, seed: 1, endOnFailure: true });
  // Many requests have to take the handler that this is about, with many outcomes.
  expect(twins.short.taken - before).toBeGreaterThan(120 * share);
  expect(seen.get("caughtUp")).toBeGreaterThan(30 * share);
  expect(seen.size).toBeGreaterThan(20);
}, 180_000);
