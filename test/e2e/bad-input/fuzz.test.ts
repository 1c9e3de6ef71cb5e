/**
 * Random and damaged input at every interface that strangers can reach: it is refused cleanly, and affects no other
 * client.
 */
import { connect } from "node:net";
import { create, fromBinary, toBinary, toJsonString } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import {
  AdminService,
  BridgeFrameSchema,
  Kind,
  PublishBatchRequestSchema,
  PublishRequestSchema,
  PublishResponseSchema,
  PushService,
  SubscribeRequestSchema,
} from "../../../src/gen.ts";
import { draft } from "../../support/drafts.ts";
import { wildRequest } from "../../support/wild-requests.ts";
import { type Answer, envelope, pathOf, post, postGrpc } from "./raw.ts";
import { openStage, type Stage } from "./stage.ts";

type Bytes = Uint8Array<ArrayBuffer>;

let stage: Stage;
/** The events of a stream that stays open during all tests. */
let neighbour: { titles: string[]; close(): void; until(title: string): Promise<void> };

beforeAll(async () => {
  stage = await openStage({ timeouts: { headersMs: 1_000 } });
  neighbour = await openNeighbour();
});

afterAll(async () => {
  // Over HTTP/1.1, because an address that broke HTTP/2 gets few new connections of it for some seconds.
  const transport = createConnectTransport({ baseUrl: stage.server.url, httpVersion: "1.1" });
  const client = createClient(PushService, transport);
  const audience = { to: { case: "userId", value: "neighbour" } } as const;
  await client.publish(
    { audience, message: { kind: Kind.NOTIFICATION, title: "the end" } },
    { headers: stage.as("service") },
  );
  await neighbour.until("the end");
  neighbour.close();
  expect(stage.lines.filter((line) => (JSON.parse(line) as { level: number }).level >= 50)).toEqual([]);
  await stage.close();
});

async function openNeighbour(): Promise<typeof neighbour> {
  const authorization = `Bearer ${await stage.server.token({ sub: "neighbour", tenant: "acme" })}`;
  const client = createClient(PushService, createGrpcTransport({ baseUrl: stage.server.url }));
  const ending = new AbortController();
  const titles: string[] = [];
  const started = Promise.withResolvers<void>();
  let check = () => {};
  const failure = (async () => {
    for await (const { event } of client.subscribe({}, { headers: { authorization }, signal: ending.signal })) {
      if (event.case === "caughtUp") started.resolve();
      if (event.case === "message") titles.push(event.value.title);
      check();
    }
  })();
  const until = (title: string) =>
    new Promise<void>((resolve) => {
      check = () => titles.includes(title) && resolve();
      check();
    });
  failure.catch(() => {});
  await started.promise;
  return { titles, until: (title) => Promise.race([until(title), failure]), close: () => ending.abort() };
}

/** Expects an error of the table, or success by chance, but no failure of the server. */
function expectClean({ status, refusal }: Answer): void {
  if (refusal === undefined) return void expect([200, 404, 405, 415]).toContain(status);
  // gRPC prescribes INTERNAL for a compressed message of an unannounced encoding.
  if (refusal.message.startsWith("received compressed envelope")) return;
  expect(refusal.code).not.toMatch(/Internal|Unknown/);
  expect(refusal.domain).toBe("tidings");
}

const methodNames = [...PushService.methods].map(({ name }) => name);
const publish = create(PublishRequestSchema, {
  audience: { to: { case: "users", value: { userIds: ["x", "y"] } } },
  message: {
    kind: Kind.NOTIFICATION,
    title: "t",
    url: "/a",
    payload: { case: "binary", value: new Uint8Array([1, 2]) },
  },
  requestId: "r",
});
const batch = create(PublishBatchRequestSchema, { requests: [publish, publish] });
const subscribe = create(SubscribeRequestSchema, {
  positions: [{ feed: "user", seq: "1", epoch: 1 }],
  kinds: [1],
  events: ["e"],
  rooms: [{ roomId: "dm/x/y", mode: 2 }, { roomId: "lobby" }],
  instanceId: "i",
});
const speak = create(PublishRequestSchema, {
  audience: { to: { case: "roomId", value: "dm/a%2F/b" } },
  message: { kind: Kind.EVENT, actor: { id: "backend" } },
  requestId: "r",
  replace: true,
});

function bytesOf(data: Uint8Array | string): Bytes {
  return new Uint8Array(Buffer.from(data as string));
}

/** Valid bodies, to be damaged. */
const goodBodies = [
  bytesOf(toBinary(PublishRequestSchema, speak)),
  bytesOf(toJsonString(PublishRequestSchema, speak)),
  bytesOf(toBinary(PublishRequestSchema, publish)),
  bytesOf(toJsonString(PublishRequestSchema, publish)),
  bytesOf(toBinary(PublishBatchRequestSchema, batch)),
  bytesOf(toJsonString(PublishBatchRequestSchema, batch)),
  bytesOf(toBinary(SubscribeRequestSchema, subscribe)),
  bytesOf(toJsonString(SubscribeRequestSchema, subscribe)),
];

const randomBytes = fc.uint8Array({ maxLength: 300 }).map(bytesOf as (data: Uint8Array) => Bytes);
/** A valid body with some bytes changed, removed or doubled. */
const damaged = fc
  .tuple(
    fc.constantFrom(...goodBodies),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
    fc.nat(),
    fc.boolean(),
  )
  .map(([good, changes, cut, twice]) => {
    const body = bytesOf(good);
    for (const [at, value] of changes) body[at % body.length] = value;
    const part = cut % 3 === 0 ? body.slice(0, cut % body.length) : body;
    return twice ? new Uint8Array([...part, ...part]) : part;
  });
const bodies = fc.oneof(randomBytes, damaged);
/** One or several envelopes with random flags and lengths. */
const enveloped = fc
  .array(fc.tuple(bodies, fc.constantFrom(0, 0, 0, 1, 2, 0x80, 255), fc.option(fc.nat(2 ** 32 - 1))), {
    minLength: 1,
    maxLength: 3,
  })
  .map(
    (parts) =>
      new Uint8Array(parts.flatMap(([body, flags, promised]) => [...envelope(body, flags, promised ?? undefined)])),
  );
const runs = { numRuns: 250 };

function headers(type: string, encoding: string): Record<string, string> {
  const names = { "content-encoding": encoding, "grpc-encoding": encoding, "connect-content-encoding": encoding };
  return {
    "content-type": type,
    ...(stage.as("service") as Record<string, string>),
    ...(encoding === "" ? {} : names),
  };
}

const encodings = fc.constantFrom("", "", "", "gzip", "br", "zstd", "identity");
const methods = fc.constantFrom(...methodNames);

test("Random bodies of unary calls are refused cleanly", async () => {
  const types = fc.constantFrom("application/json", "application/proto");
  await fc.assert(
    fc.asyncProperty(methods, types, encodings, bodies, async (method, type, encoding, body) => {
      expectClean(await post(stage.server.url + pathOf(method), body, headers(type, encoding)));
    }),
    runs,
  );
});

test("Random envelopes of Connect streams and gRPC-Web are refused cleanly", async () => {
  const types = fc.constantFrom(
    "application/connect+json",
    "application/connect+proto",
    "application/grpc-web+proto",
    "application/grpc-web+json",
  );
  await fc.assert(
    fc.asyncProperty(
      methods,
      types,
      encodings,
      fc.oneof(enveloped, randomBytes),
      async (method, type, encoding, body) => {
        // A stream that is opened by chance does not end, unlike a list.
        const target = method === "Subscribe" ? "ListMessages" : method;
        expectClean(await post(stage.server.url + pathOf(target), body, headers(type, encoding)));
      },
    ),
    runs,
  );
});

test("Random envelopes of gRPC are refused cleanly", async () => {
  await fc.assert(
    fc.asyncProperty(methods, encodings, fc.oneof(enveloped, randomBytes), async (method, encoding, body) => {
      const target = method === "Subscribe" ? "ListMessages" : method;
      expectClean(await postGrpc(stage.server.url + pathOf(target), body, headers("application/grpc", encoding)));
    }),
    runs,
  );
});

const callers = fc.constantFrom("ann" as const, "service" as const);
/** Every unary method. A stream that is opened by chance does not end, unlike a call. */
const unary = [...PushService.methods, ...AdminService.methods].filter(({ methodKind }) => methodKind === "unary");

test.each(unary.map((method) => [method.name, method] as const))(
  "Random requests of %s are answered or refused cleanly, in both codecs",
  async (_name, method) => {
    const url = `${stage.server.url}/${method.parent.typeName}/${method.name}`;
    await fc.assert(
      fc.asyncProperty(callers, wildRequest(method.input), async (caller, { binary, json }) => {
        const token = stage.as(caller) as Record<string, string>;
        expectClean(await post(url, binary, { "content-type": "application/proto", ...token }));
        expectClean(await post(url, json, { "content-type": "application/json", ...token }));
      }),
      { numRuns: 60 },
    );
  },
);

test("Random drafts are refused or can be read in both codecs, live and listed", async () => {
  const authorization = `Bearer ${await stage.server.token({ sub: "fuzzed", tenant: "acme" })}`;
  const socket = new WebSocket(`${stage.server.url.replace("http", "ws")}/ws`, "tidings.v1.json");
  const live = new Set<string>();
  const started = Promise.withResolvers<void>();
  let check = () => {};
  socket.on("open", () => socket.send(JSON.stringify({ token: authorization.slice(7), subscribe: {} })));
  socket.on("close", (code, reason) => started.reject(new Error(`closed: ${code} ${reason}`)));
  socket.on("message", (data) => {
    const event = JSON.parse(String(data)) as { caughtUp?: object; message?: { id: string } };
    if (event.caughtUp) started.resolve();
    if (event.message) live.add(event.message.id);
    check();
  });
  await started.promise;
  const accepted: string[] = [];
  const service = { "content-type": "application/proto", ...(stage.as("service") as Record<string, string>) };
  const url = stage.server.url + pathOf("Publish");
  await fc.assert(
    fc.asyncProperty(draft, async (message) => {
      const request = create(PublishRequestSchema, { audience: { to: { case: "userId", value: "fuzzed" } }, message });
      const body = new Uint8Array(toBinary(PublishRequestSchema, request));
      const response = await fetch(url, { method: "POST", headers: service, body });
      // 429: larger than a message may be.
      if (!response.ok) return void expect([400, 429]).toContain(response.status);
      const { messageId } = fromBinary(PublishResponseSchema, new Uint8Array(await response.arrayBuffer()));
      // A message with a shorter ttl may expire before it is delivered.
      const outlives = message.ttl === undefined || message.ttl.seconds >= 60n;
      if (message.kind !== Kind.ACTIVITY && outlives) accepted.push(messageId);
    }),
    { numRuns: 400 },
  );
  expect(accepted.length).toBeGreaterThan(20);
  await new Promise<void>((resolve) => {
    check = () => accepted.every((id) => live.has(id)) && resolve();
    check();
  });
  socket.removeAllListeners("close");
  socket.close();
  for (const encoding of ["json", "proto"]) {
    const list = `${stage.server.url}${pathOf("ListMessages")}?connect=v1&encoding=${encoding}`;
    const message = encoding === "json" ? encodeURIComponent('{"pageSize":100}') : "%50%64";
    const response = await fetch(`${list}&message=${message}`, { headers: { authorization } });
    expect(response.status, encoding).toBe(200);
  }
});

test("Random Authorization headers are refused cleanly", async () => {
  const printable = fc.string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    maxLength: 200,
  });
  const schemes = fc.constantFrom("", "Bearer ", "bearer ", "Basic ", "Bearer eyJ", "Bearer eyJhbGciOiJIUzI1NiJ9.");
  await fc.assert(
    fc.asyncProperty(schemes, printable, async (scheme, text) => {
      const authorization = `${scheme}${text}`;
      const { refusal } = await post(stage.server.url + pathOf("ListUnread"), "{}", {
        "content-type": "application/json",
        authorization,
      });
      expect(refusal).toMatchObject({ code: "Unauthenticated", domain: "tidings" });
    }),
    runs,
  );
});

test("Several random Authorization headers are refused cleanly", async () => {
  const { authorization = "" } = stage.as("ann") as Record<string, string>;
  const printable = fc.string({ unit: fc.constantFrom(...'abc ,;=."Bearer'), maxLength: 30 });
  const values = fc.array(fc.oneof(fc.constant(authorization), printable), { minLength: 2, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(values, async (given) => {
      const headers = given.map((value) => `Authorization: ${value}\r\n`).join("");
      const answer = await exchange(
        `POST ${pathOf("ListUnread")} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n` +
          `Content-Type: application/json\r\nContent-Length: 2\r\n${headers}\r\n{}`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 401 .*TOKEN_INVALID/s);
    }),
    runs,
  );
});

/** Sends bytes on a new connection, and returns the bytes that the server sends until it closes the connection. */
function exchange(request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(stage.server.port, "127.0.0.1", () => socket.write(request));
    socket.on("data", (data) => (answer += data.toString("latin1")));
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}

test("Random subprotocols of the bridge are chosen only if they are known", async () => {
  const own = ["tidings.v1.json", "tidings.v1.proto"];
  const words = fc.string({ unit: fc.constantFrom(..."abc.v1_-!~tidings"), minLength: 1, maxLength: 20 });
  const names = fc.oneof(fc.constantFrom(...own, ...Object.getOwnPropertyNames(Object.prototype)), words);
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(names, { minLength: 1, maxLength: 5 }), async (offered) => {
      const socket = new WebSocket(`${stage.server.url.replace("http", "ws")}/ws`, offered);
      const opened = await new Promise<boolean>((resolve) => {
        socket.on("open", () => resolve(true));
        socket.on("error", () => resolve(false));
      });
      const expected = offered.find((name) => own.includes(name));
      expect(opened ? socket.protocol : undefined).toBe(expected);
      socket.terminate();
    }),
    { numRuns: 150 },
  );
});

test("Random and damaged page tokens are refused cleanly", async () => {
  const { unreadToken } = stage.known;
  const changed = fc
    .tuple(fc.nat(unreadToken.length - 1), fc.constantFrom(..."ABCxyz019-_=+/ "))
    .map(([at, letter]) => `${unreadToken.slice(0, at)}${letter}${unreadToken.slice(at + 1)}`)
    .filter((token) => token !== unreadToken);
  const tokens = fc.oneof(changed, fc.string({ minLength: 1, unit: "grapheme" }), fc.base64String({ minLength: 4 }));
  await fc.assert(
    fc.asyncProperty(tokens, async (pageToken) => {
      const body = JSON.stringify({ pageSize: 5, pageToken });
      const { refusal } = await post(stage.server.url + pathOf("ListUnread"), body, {
        "content-type": "application/json",
        ...(stage.as("ann") as Record<string, string>),
      });
      expect(refusal).toMatchObject({ code: "InvalidArgument", reason: "PAGE_TOKEN_INVALID", field: "page_token" });
    }),
    runs,
  );
});

test("Random frames of the bridge are refused cleanly, before and after the stream is open", async () => {
  const [, token = ""] = Object.values(stage.as("ann"))[0]?.split(" ") ?? [];
  const opening = {
    "tidings.v1.json": JSON.stringify({ token, subscribe: {} }),
    "tidings.v1.proto": openingBinary(token),
  };
  const protocols = fc.constantFrom("tidings.v1.json" as const, "tidings.v1.proto" as const);
  const frames = fc.array(fc.oneof(fc.string({ unit: "grapheme" }), randomBytes), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(protocols, fc.boolean(), frames, async (protocol, opened, sent) => {
      const socket = new WebSocket(`${stage.server.url.replace("http", "ws")}/ws`, protocol);
      const closed = new Promise<number>((resolve) => socket.on("close", resolve));
      await new Promise((resolve) => socket.on("open", resolve));
      if (opened) socket.send(opening[protocol]);
      for (const frame of sent) socket.send(frame);
      socket.close(1000);
      // 1000: the frames had no effect. 1007: not UTF-8.
      expect([1000, 1005, 1007, 4003, 4007, 4014, 4016]).toContain(await closed);
    }),
    { numRuns: 150 },
  );
});

function openingBinary(token: string): Uint8Array {
  return toBinary(BridgeFrameSchema, create(BridgeFrameSchema, { token, subscribe: {} }));
}

test("Random bytes are refused cleanly on the port itself, and on a socket that was upgraded", async () => {
  const upgrade =
    "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tidings.v1.proto\r\n\r\n";
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
  const starts = fc.constantFrom(
    "",
    "PRI ",
    preface,
    upgrade,
    "POST /tidings.v1.PushService/Publish HTTP/1.1\r\nHost: x\r\n",
  );
  const send = ([start, bytes]: readonly [string, Bytes]) =>
    new Promise<void>((resolve) => {
      const data = Buffer.concat([Buffer.from(start, "latin1"), bytes]);
      const socket = connect(stage.server.port, "127.0.0.1", () => socket.end(data));
      socket.on("error", () => {});
      socket.on("close", () => resolve());
      socket.resume();
    });
  // All at once, because the server waits for incomplete input until the timeout for headers.
  await Promise.all(fc.sample(fc.tuple(starts, randomBytes), 150).map(send));
});
