import type { DescMessage } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { BridgeFrameSchema } from "../../gen/tidings/v1/bridge_pb.ts";
import {
  DeleteMessagesRequestSchema,
  ListMessagesRequestSchema,
  MarkReadRequestSchema,
  PublishBatchRequestSchema,
  PublishRequestSchema,
  SubscribeRequestSchema,
} from "../../gen/tidings/v1/push_service_pb.ts";
import { RequestJson } from "../../src/contract/request-json.ts";

/** The message and the field of the error of a JSON request; undefined for a request that is accepted. */
function errorOf(desc: DescMessage, json: unknown, ignoreUnknownFields = false) {
  const text = typeof json === "string" ? json : JSON.stringify(json);
  try {
    new RequestJson(desc, ignoreUnknownFields).parse(Buffer.from(text));
    return undefined;
  } catch (error) {
    if (!(error instanceof ConnectError)) return { message: (error as Error).message, field: undefined };
    const [info] = error.details.filter((detail) => "desc" in detail && detail.desc === ErrorInfoSchema);
    const { reason, metadata } = (info as unknown as { value: { reason: string; metadata: { field?: string } } }).value;
    return { message: error.rawMessage, field: metadata.field, reason };
  }
}

const to = { userId: "ann" };
const message = { kind: "KIND_NOTIFICATION" };

describe("A JSON request is refused with the path of the field and a sentence:", () => {
  test.each<[field: string, desc: DescMessage, json: unknown, sentence: string]>([
    ["requestID", PublishRequestSchema, { audience: to, message, requestID: "r" }, "did you mean requestId?"],
    ["request_ID", PublishRequestSchema, { audience: to, message, request_ID: "r" }, "did you mean request_id?"],
    [
      "message.titel",
      PublishRequestSchema,
      { audience: to, message: { ...message, titel: "" } },
      "did you mean title?",
    ],
    ["message.data", PublishRequestSchema, { message: { data: 1 } }, "known names are kind, category, title"],
    ["message.actor.avatar", PublishRequestSchema, { message: { actor: { avatar: "" } } }, "is not in the contract"],
    ["audience.user_id", PublishRequestSchema, { audience: { userId: 42 } }, "must be a string"],
    ["audience.users", PublishRequestSchema, { audience: { users: ["ann"] } }, "must be an object"],
    ["audience.users.user_ids", PublishRequestSchema, { audience: { users: { userIds: "a" } } }, "must be a list"],
    ["audience.users.user_ids[1]", PublishRequestSchema, { audience: { users: { userIds: ["a", 1] } } }, "a string"],
    ["audience.room_id", PublishRequestSchema, { audience: { userId: "a", roomId: "b" } }, "leave it out, or user_id"],
    ["audience.tenant", PublishRequestSchema, { audience: { tenant: "yes" } }, "must be true or false"],
    ["message.kind", PublishRequestSchema, { message: { kind: "NOTIFICATION" } }, "KIND_NOTIFICATION, KIND_ACTIVITY"],
    ["message.actor", PublishRequestSchema, { message: { actor: [] } }, "must be an object"],
    ["message.ttl", PublishRequestSchema, { message: { ttl: "1h" } }, '"3600s"'],
    ["message.ttl", PublishRequestSchema, { message: { ttl: 60 } }, '"3600s"'],
    ["message.ttl", PublishRequestSchema, { message: { ttl: "1.0000000000001s" } }, '"3600s"'],
    ["message.binary", PublishRequestSchema, { message: { binary: "%%%" } }, "base64"],
    ["message.title", PublishRequestSchema, '{"message":{"title":"\\ud800"}}', "surrogate"],
    [
      "message.json",
      PublishRequestSchema,
      `{"message":{"json":${"[".repeat(120)}${"]".repeat(120)}}}`,
      "too many levels",
    ],
    ["request_id", PublishRequestSchema, { requestId: "a", request_id: "b" }, "is set twice"],
    ["requests[1].message.titel", PublishBatchRequestSchema, { requests: [{}, { message: { titel: "" } }] }, "title"],
    ["requests[0]", PublishBatchRequestSchema, { requests: [7] }, "must be an object"],
    ["end_time", ListMessagesRequestSchema, { startTime: "2026-03-29T00:00:00Z", endTime: "2026-03-30" }, "T12:00:00Z"],
    ["page_size", ListMessagesRequestSchema, { pageSize: "many" }, "must be a whole number"],
    ["kinds[0]", ListMessagesRequestSchema, { kinds: ["NOTIFICATION"] }, "must be one of"],
    ["expiredonly", DeleteMessagesRequestSchema, { expiredonly: true }, "did you mean expiredOnly?"],
    ["oldest", MarkReadRequestSchema, { oldest: -1 }, "from 0 to 4294967295"],
    ["ids", MarkReadRequestSchema, { ids: ["x"] }, "must be an object"],
    ["positions[0].seq", SubscribeRequestSchema, { positions: [{ seq: "x" }] }, "written as a string"],
    ["subscribe.positions[0].sequence", BridgeFrameSchema, { subscribe: { positions: [{ sequence: 1 }] } }, "known"],
  ])("%s of %s", (field, desc, json, sentence) => {
    const error = errorOf(desc, json);
    expect(error).toMatchObject({ field, reason: "BODY_INVALID" });
    expect(error?.message).toMatch(new RegExp(`^${field.replace(/[[\]]/g, "\\$&")}: `));
    expect(error?.message).toContain(sentence);
  });
});

describe("An integer that a double cannot hold is refused with its path:", () => {
  test.each([
    ["message.json", '{"message":{"json":{"id":12345678901234567}}}'],
    ["message.json", '{"message":{"json":[[-9007199254740993]]}}'],
    ["message.json", `{"message":{"json":${"9".repeat(400)}}}`],
    ["requests[1].message.json", '{"requests":[{},{"message":{"json":9007199254740993}}]}'],
  ])("%s of %s", (field, text) => {
    const desc = text.startsWith('{"requests') ? PublishBatchRequestSchema : PublishRequestSchema;
    const error = errorOf(desc, text);
    expect(error).toMatchObject({ field, reason: "FIELD_INVALID" });
    expect(error?.message).toContain("send it as a string");
  });

  test("positions[0].seq, which is no payload", () => {
    const error = errorOf(SubscribeRequestSchema, '{"positions":[{"feed":"user","seq":9007199254740993}]}');
    expect(error).toMatchObject({ field: "positions[0].seq", reason: "FIELD_INVALID" });
  });

  test.each([
    "9007199254740992",
    "18014398509481984",
    "0.1234567890123456789",
    "1e300",
    '"12345678901234567891"',
    "-0",
  ])("but not %s", (json) => {
    expect(errorOf(PublishRequestSchema, `{"message":{"json":[${json}]}}`)).toBeUndefined();
  });

  test("No integer that passes changes its value", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }), (integer) => {
        const refused = errorOf(PublishRequestSchema, `{"message":{"json":${integer}}}`) !== undefined;
        expect(refused).toBe(BigInt(Number(integer)) !== integer);
      }),
    );
  });
});

test("Unknown names and enum values pass where the option lets them, and wrong values do not", () => {
  const json = { audience: to, message: { ...message, data: 1 }, requestID: "r" };
  expect(errorOf(PublishRequestSchema, json, true)).toBeUndefined();
  expect(errorOf(ListMessagesRequestSchema, { kinds: ["NEW"] }, true)).toBeUndefined();
  expect(errorOf(PublishRequestSchema, { ...json, message: { data: 1, ttl: "1h" } }, true)).toMatchObject({
    field: "message.ttl",
  });
});

test("A text that is no JSON has an error without a field", () => {
  for (const text of ["", "{", "[]", "null", '{"a":1}}', '{"message":{},"message":{}}']) {
    expect(errorOf(PublishRequestSchema, text)).toMatchObject({ field: undefined });
  }
});

test("A text that another request has replaced is not blamed", () => {
  const texts = new RequestJson(PublishRequestSchema, false);
  texts.decode(Buffer.from('{"audience":{"userId":42}}'));
  expect(texts.violation("cannot decode field x from JSON: another error")).toBeUndefined();
  // Nor is a text kept after its error.
  texts.decode(Buffer.from('{"requestID":""}'));
  const key = 'cannot decode message tidings.v1.PublishRequest from JSON: key "requestID" is unknown';
  expect(texts.violation(key)).toMatchObject({ field: "requestID" });
  expect(texts.violation(key)).toBeUndefined();
});

test("Whatever the JSON, a request is decoded or refused, and a refusal by the decoder has a field", () => {
  const key = fc.constantFrom("audience", "message", "userId", "users", "userIds", "ttl", "json", "kind", "actor", "x");
  const json = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 6, withCrossShrink: true },
      fc.constantFrom(null, true, 1, -1, 1.5, "", "a", "KIND_EVENT", "1s"),
      fc.array(tie("any"), { maxLength: 3 }),
      fc.dictionary(key, tie("any"), { maxKeys: 4 }),
    ),
  })).any;
  fc.assert(
    fc.property(fc.dictionary(key, json, { maxKeys: 4 }), (request) => {
      const error = errorOf(PublishRequestSchema, request);
      if (error) expect(error.field).toBeDefined();
    }),
    { numRuns: 1000 },
  );
});
