import { request as httpRequest } from "node:http";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SubscribeRequestSchema } from "../../../src/gen.ts";
import { bomb, goodProto, jsonBodies, protoBodies } from "./bodies.ts";
import { type Answer, envelope, pathOf, post, postGrpc } from "./raw.ts";
import { type CallerName, openStage, type Stage } from "./stage.ts";

let stage: Stage;
let before: string;

beforeAll(async () => {
  stage = await openStage();
  before = await stage.snapshot();
});

afterAll(async () => {
  expect(await stage.close()).toMatchObject({ messages: 49, entries: 49 });
});

function headersFor(name: CallerName, type: string, more: Record<string, string> = {}): Record<string, string> {
  return { "content-type": type, ...(stage.as(name) as Record<string, string>), ...more };
}

function urlOf(method: string): string {
  return stage.server.url + pathOf(method);
}

async function unchanged(): Promise<void> {
  expect(await stage.snapshot()).toBe(before);
}

describe("A unary call over Connect refuses", () => {
  test.each(jsonBodies)("$name in JSON with $code, $reason", async ({ body, headers, code, reason }) => {
    const { refusal } = await post(urlOf("Publish"), body, headersFor("service", "application/json", headers));
    expect(refusal).toMatchObject({ code, reason, domain: "tidings" });
    await unchanged();
  });

  test.each(protoBodies)("$name in Protobuf with $code, $reason", async ({ body, code, reason }) => {
    const { refusal } = await post(urlOf("Publish"), body, headersFor("service", "application/proto"));
    expect(refusal).toMatchObject({ code, reason, domain: "tidings" });
    await unchanged();
  });
});

/** The protocols that send messages in envelopes. */
const enveloped = [
  { protocol: "gRPC", type: "application/grpc", encoding: "grpc-encoding", send: postGrpc },
  { protocol: "gRPC-Web", type: "application/grpc-web+proto", encoding: "grpc-encoding", send: post },
] as const;

describe.each(enveloped)("A unary call over $protocol refuses", ({ type, encoding, send }) => {
  const call = (body: Uint8Array<ArrayBuffer>, more?: Record<string, string>): Promise<Answer> =>
    send(urlOf("Publish"), body, headersFor("service", type, more));

  test.each(protoBodies)("$name with $code, $reason", async ({ body, code, reason }) => {
    const { refusal } = await call(envelope(body));
    expect(refusal).toMatchObject({ code, reason, domain: "tidings" });
    await unchanged();
  });

  test.each([
    ["a length beyond the end", envelope(goodProto, 0, 9_999), {}, "InvalidArgument", "BODY_INVALID"],
    ["half a prefix", new Uint8Array([0, 0]), {}, "InvalidArgument", "BODY_INVALID"],
    ["a length of 4 GiB", envelope(goodProto, 0, 0xffffffff), {}, "ResourceExhausted", "REQUEST_TOO_LARGE"],
    ["a gzip bomb", envelope(bomb, 1), { [encoding]: "gzip" }, "ResourceExhausted", "REQUEST_TOO_LARGE"],
    ["a broken gzip", envelope("no gzip", 1), { [encoding]: "gzip" }, "InvalidArgument", "BODY_INVALID"],
    ["an unknown encoding", envelope(goodProto, 1), { [encoding]: "zstd" }, "Unimplemented", "PROTOCOL_UNSUPPORTED"],
    ["no message", new Uint8Array(0), {}, "Unimplemented", "PROTOCOL_UNSUPPORTED"],
    [
      "a timeout that is not a number",
      envelope(goodProto),
      { "grpc-timeout": "soon" },
      "InvalidArgument",
      "BODY_INVALID",
    ],
  ] as const)("%s", async (_name, body, more, code, reason) => {
    const { refusal } = await call(body as Uint8Array<ArrayBuffer>, more as Record<string, string>);
    expect(refusal).toMatchObject({ code, reason, domain: "tidings" });
    await unchanged();
  });

  test("a compressed message without an encoding header, with the code that gRPC prescribes", async () => {
    const { refusal } = await call(envelope(goodProto, 1));
    expect(refusal).toMatchObject({ code: "Internal" });
    await unchanged();
  });
});

describe("A stream over Connect refuses", () => {
  const good = toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema));
  test.each([
    ["bad JSON", "application/connect+json", envelope('{"kinds"：[]}'), {}, "InvalidArgument", "BODY_INVALID"],
    [
      "JSON that is not UTF-8",
      "application/connect+json",
      envelope(new Uint8Array([0x22, 0xff, 0x22])),
      {},
      "InvalidArgument",
      "BODY_INVALID",
    ],
    [
      "bad Protobuf",
      "application/connect+proto",
      envelope(new Uint8Array([0x0f])),
      {},
      "InvalidArgument",
      "BODY_INVALID",
    ],
    [
      "a length beyond the end",
      "application/connect+json",
      envelope("{}", 0, 9_999),
      {},
      "InvalidArgument",
      "BODY_INVALID",
    ],
    [
      "a gzip bomb",
      "application/connect+proto",
      envelope(bomb, 1),
      { "connect-content-encoding": "gzip" },
      "ResourceExhausted",
      "REQUEST_TOO_LARGE",
    ],
    [
      "an unknown encoding",
      "application/connect+proto",
      envelope(good, 1),
      { "connect-content-encoding": "zstd" },
      "Unimplemented",
      "PROTOCOL_UNSUPPORTED",
    ],
    ["no message", "application/connect+proto", new Uint8Array(0), {}, "Unimplemented", "PROTOCOL_UNSUPPORTED"],
    [
      "two messages",
      "application/connect+json",
      new Uint8Array([...envelope("{}"), ...envelope("{}")]),
      {},
      "Unimplemented",
      "PROTOCOL_UNSUPPORTED",
    ],
  ] as const)("%s", async (_name, type, body, more, code, reason) => {
    const { refusal } = await post(
      urlOf("Subscribe"),
      body as Uint8Array<ArrayBuffer>,
      headersFor("ann", type, more as Record<string, string>),
    );
    expect(refusal).toMatchObject({ code, reason, domain: "tidings" });
    await unchanged();
  });
});

describe("The HTTP server", () => {
  test.each([
    ["a GET of a method with side effects", "GET", pathOf("Publish"), "application/json", 405],
    ["a PUT", "PUT", pathOf("Publish"), "application/json", 405],
    ["a GET of Subscribe", "GET", pathOf("Subscribe"), "application/connect+json", 405],
    ["an unknown content type", "POST", pathOf("Publish"), "text/plain", 415],
    ["JSON that is not in UTF-8", "POST", pathOf("Publish"), "application/json; charset=latin1", 415],
    ["a unary call as a stream", "POST", pathOf("Publish"), "application/connect+json", 415],
    ["a stream as a unary call", "POST", pathOf("Subscribe"), "application/json", 415],
    ["an unknown method", "POST", pathOf("Forget"), "application/json", 404],
    ["an unknown service", "POST", "/tidings.v1.PullService/Publish", "application/json", 404],
    ["another path", "POST", "/..%2f..%2fetc/passwd", "application/json", 404],
    ["a plain request for /ws", "GET", "/ws", "application/json", 404],
  ])("refuses %s: %s %s as %s gets %i", async (_name, verb, path, type, status) => {
    expect((await post(stage.server.url + path, "{}", headersFor("service", type), verb)).status).toBe(status);
    await unchanged();
  });

  test("ignores a token in the URL", async () => {
    const [, token = ""] = String((stage.as("ann") as Record<string, string>).authorization).split(" ");
    const query = `connect=v1&encoding=json&message=${encodeURIComponent("{}")}`;
    for (const name of ["token", "access_token", "authorization", "jwt"]) {
      const url = `${urlOf("ListUnread")}?${query}&${name}=${token}`;
      expect
        .soft((await post(url, "", {}, "GET")).refusal)
        .toMatchObject({ code: "Unauthenticated", reason: "TOKEN_MISSING" });
    }
  });

  test("takes the longest page token in a URL beside a usual JWT, and refuses it beside a huge JWT with 431", async () => {
    const message = JSON.stringify({ pageToken: "x".repeat(12_288) });
    const url = `${urlOf("ListUnread")}?connect=v1&encoding=json&message=${encodeURIComponent(message)}`;
    const headers = { ...(stage.as("ann") as Record<string, string>) };
    expect((await post(url, "", headers, "GET")).refusal).toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
    const rooms = Array.from({ length: 20 }, (_, room) => `${room}/`.padEnd(200, "x"));
    const authorization = `Bearer ${await stage.server.token({ sub: "eve", tenant: "acme", rooms })}`;
    expect((await post(url, "", { authorization }, "GET")).status).toBe(431);
    const posted = { "content-type": "application/json", authorization };
    expect((await post(urlOf("ListUnread"), message, posted)).refusal).toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
    await unchanged();
  });

  test("refuses headers over 16 KiB", async () => {
    const headers = headersFor("service", "application/json", { "x-much": "x".repeat(20_000) });
    expect((await post(urlOf("Publish"), "{}", headers)).status).toBe(431);
    const big = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`x-much-${index}`, "x".repeat(8_000)]));
    const grpc = await postGrpc(
      urlOf("Publish"),
      envelope(goodProto),
      headersFor("service", "application/grpc", big),
    ).catch(() => ({ status: 0 }));
    expect(grpc.status).not.toBe(200);
    await unchanged();
  });

  test("refuses a caller before the body has arrived", async () => {
    const { port } = stage.server;
    const headers = { "content-type": "application/json", "content-length": "3000000" };
    const request = httpRequest({ port, path: pathOf("Publish"), method: "POST", headers });
    const status = new Promise((resolve) => request.on("response", ({ statusCode }) => resolve(statusCode)));
    request.on("error", () => {});
    request.flushHeaders();
    expect(await status).toBe(401);
    request.destroy();
  });
});
