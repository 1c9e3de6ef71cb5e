import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { PublishRequestSchema, PushService } from "../../gen/tidings/v1/push_service_pb.ts";
import { errorFromClose, errorFromJson } from "../../src/client/calls/wire-error.ts";
import { connectTidings } from "../../src/client/index.ts";
import { readError } from "../../src/client/read-error.ts";
import { TidingsError } from "../../src/client/tidings-error.ts";
import { fail } from "../../src/errors.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";

const violations = [{ field: "message.title", description: "must have at most 256 characters" }];
const failure = fail("FIELD_INVALID", "must be a path", { field: "message.url", violations, retryAfterMs: 1500 });
const asJson = errorToJson(failure, undefined);
const whole = {
  code: "invalid_argument",
  reason: "FIELD_INVALID",
  field: "message.url",
  fields: [{ field: "message.url", description: "must be a path" }, ...violations],
  retryAfterMs: 1500,
  message: "message.url: must be a path",
};

test("readError throws for no value, however hostile", () => {
  const throws = () => {
    throw new Error("hostile");
  };
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const own = new TidingsError("internal", "its own cause") as TidingsError & { cause: unknown };
  own.cause = own;
  const depth = 5_000;
  const nested = `${'{"name":"TidingsError","cause":'.repeat(depth)}1${"}".repeat(depth)}`;
  const getters = ["code", "name", "message", "cause", "details", "metadata"].map((name) =>
    Object.defineProperty(new Error("x"), name, { get: throws }),
  );
  const details = new Proxy([], { get: throws });
  for (const value of [
    ...getters,
    proxy,
    { details },
    { details: [proxy] },
    nested,
    Object.create(null),
    Symbol("x"),
  ]) {
    expect(readError(value)).toMatchObject({ code: "unknown", reason: undefined, message: expect.any(String) });
  }
  expect(readError(own)).toMatchObject({ code: "internal", message: "its own cause" });
});

describe("readError reads", () => {
  test("a ConnectError that has not been sent", () => {
    expect(readError(failure)).toEqual(whole);
  });

  test("the body of a refused request, as text and as JSON", () => {
    expect(readError(JSON.stringify(asJson))).toEqual(whole);
    expect(readError(JSON.parse(JSON.stringify(asJson)))).toEqual(whole);
  });

  test("a TidingsError, which names one field", () => {
    const { field, message, fields } = whole;
    const own = errorFromJson(JSON.parse(JSON.stringify(asJson)));
    expect(own).toMatchObject({ field, message });
    expect(readError(own)).toEqual({ ...whole, fields: fields.slice(0, 1) });
  });

  test("a TidingsError of the bridge, whose close reason has no details", () => {
    const { field, reason, code, message } = whole;
    const own = errorFromClose(4003, `${reason}: ${message}`);
    expect(readError(own)).toMatchObject({ field, reason, code, message, retryAfterMs: undefined });
    expect(readError(errorFromClose(4016, "TOKEN_EXPIRED: the token: it has expired")).field).toBeUndefined();
  });

  test("the error in an outcome of PublishBatch", () => {
    const error = { code: "already_exists", reason: "REQUEST_ID_REUSED", message: "use a fresh one" };
    expect(readError(error)).toMatchObject(error);
  });

  test("no reason in the ErrorInfo of another service", () => {
    const value = create(ErrorInfoSchema, { reason: "RATE_LIMIT_EXCEEDED", domain: "googleapis.com" });
    const error = new ConnectError("slow down", Code.ResourceExhausted, undefined, [{ desc: ErrorInfoSchema, value }]);
    expect(readError(error)).toMatchObject({ code: "resource_exhausted", reason: undefined, message: "slow down" });
  });

  test.each([
    [new TypeError("fetch failed"), "unknown", "fetch failed"],
    [new DOMException("it took too long", "TimeoutError"), "deadline_exceeded", "it took too long"],
    [new DOMException("the user left", "AbortError"), "canceled", "the user left"],
    ["<html>502 Bad Gateway</html>", "unknown", "<html>502 Bad Gateway</html>"],
    [{ error: "forbidden" }, "unknown", "no reason was given"],
    [undefined, "unknown", "no reason was given"],
  ])("%s as an error with the code %s", (thrown, code, message) => {
    const none = { reason: undefined, field: undefined, fields: [], retryAfterMs: undefined };
    expect(readError(thrown)).toEqual({ ...none, code, message });
  });

  test("any value and any detail without throwing", () => {
    fc.assert(
      fc.property(fc.anything(), fc.uint8Array(), fc.constantFrom("Error", "Retry"), (thing, bytes, name) => {
        expect(typeof readError(thing).message).toBe("string");
        const details = [
          thing,
          { type: `google.rpc.${name}Info`, value: bytes },
          { desc: ErrorInfoSchema, value: thing },
        ];
        expect(readError({ code: 13, rawMessage: "x", details }).code).toBe("internal");
        expect(readError({ code: 13, details: "x", metadata: { get: () => [bytes] } }).message).toBe("x");
      }),
    );
  });
});

describe("readError reads what a server refuses", () => {
  let server: TestServer;
  let token: string;
  beforeAll(async () => {
    server = await startServer();
    token = await server.token({ role: "service", tenant: newTenant() });
  });
  afterAll(() => server.stop());

  const request = create(PublishRequestSchema, {
    audience: { to: { case: "userId", value: "ada" } },
    message: { kind: Kind.NOTIFICATION, title: "x".repeat(5000), url: "javascript:alert(1)" },
  });
  const expected = {
    code: "invalid_argument",
    reason: "FIELD_INVALID",
    field: "message.title",
    fields: [{ field: "message.title" }, { field: "message.url" }],
    retryAfterMs: undefined,
    message: expect.stringMatching(/^message\.title: /),
  };
  const headers = () => ({ authorization: `Bearer ${token}` });
  const refusalOf = async (call: Promise<unknown>) =>
    call.then(
      () => undefined,
      (error: unknown) => readError(error),
    );

  test.each([
    ["Connect", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
    [
      "Connect in JSON",
      (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
    ],
    ["gRPC", (baseUrl: string) => createGrpcTransport({ baseUrl })],
    ["gRPC-Web", (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ] satisfies [string, (baseUrl: string) => Transport][])("over %s", async (_name, transport) => {
    const push = createClient(PushService, transport(server.url));
    expect(await refusalOf(push.publish(request, { headers: headers() }))).toMatchObject(expected);
  });

  test("over grpc-js", async () => {
    const client = new Client(server.host, credentials.createInsecure());
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    const call = new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        "/tidings.v1.PushService/Publish",
        (value: typeof request) => Buffer.from(toBinary(PublishRequestSchema, value)),
        (bytes: Buffer) => bytes,
        request,
        metadata,
        (error, answer) => (error ? reject(error) : resolve(answer)),
      );
    });
    expect(await refusalOf(call)).toMatchObject(expected);
    client.close();
  });

  test("over the clients of Tidings, which know the field themselves", async () => {
    const page = await server.token({ tenant: newTenant() });
    const fields = { ws: "subscribe.kinds[0]", connect: "kinds[0]" };
    for (const transport of ["ws", "connect"] as const) {
      const field = fields[transport];
      const options = { url: server.url, token: () => page, subscribe: { kinds: [99 as Kind] } };
      const client = connectTidings({ ...options, transport });
      const error = await client
        .events()
        .next()
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ name: "TidingsError", field });
      expect(readError(error)).toMatchObject({ code: "invalid_argument", reason: "FIELD_INVALID", field });
    }
  });
});
