import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { PublishRequestSchema } from "../../../gen/tidings/v1/push_service_pb.ts";
import { type PublishRequest, publishJson } from "../../../src/client/codec/json-requests.ts";

/** What the server reads, as the contract's JSON. */
function read(request: PublishRequest): JsonValue {
  return toJson(PublishRequestSchema, fromJson(PublishRequestSchema, JSON.parse(JSON.stringify(publishJson(request)))));
}

test("a plain publish has a field for everything in the contract but bytes", () => {
  const request: Required<Omit<PublishRequest, "userId" | "users" | "tenant" | "everyone">> = {
    roomId: "dm/ada/bob",
    kind: "notification",
    title: "t",
    content: "你好😀",
    url: "/x",
    category: "chat",
    event: "said",
    json: { list: [1, null, "a", true, { at: new Date(0), left: undefined }] },
    ttlMs: 1_500,
    requestId: "r1",
    replace: true,
    batchId: "b1",
    actor: { id: "ada", name: "Ada", avatarUrl: "/ada.png" },
    object: { type: "task", id: "7" },
    tenantId: "acme",
  };
  const { roomId, kind, json, ttlMs, requestId, replace, tenantId, ...same } = request;
  expect(read(request)).toEqual({
    tenantId,
    audience: { roomId },
    message: {
      ...same,
      kind: "KIND_NOTIFICATION",
      json: { list: [1, null, "a", true, { at: "1970-01-01T00:00:00.000Z" }] },
      ttl: "1.500s",
    },
    requestId,
    replace,
  });
});

test.each([
  [{ userId: "ada" }, { userId: "ada" }],
  [{ users: ["ada", "bob"] }, { users: { userIds: ["ada", "bob"] } }],
  [{ roomId: "r" }, { roomId: "r" }],
  [{ tenant: true }, { tenant: true }],
  [{ everyone: true }, { everyone: true }],
] as const)("%j is an audience", (given, audience) => {
  expect(read({ ...given, kind: "event" })).toEqual({ audience, message: { kind: "KIND_EVENT" } });
});

test.each([[null], [0], [""], [false], [[]], [{}]])("%j is a payload", (json) => {
  expect(read({ tenant: true, kind: "activity", json })).toMatchObject({ message: { kind: "KIND_ACTIVITY", json } });
});

test.each([1, 999, 0.5, 315_360_000_000])("a life of %d ms is a duration", (ttlMs) => {
  const { message } = fromJson(PublishRequestSchema, publishJson({ tenant: true, kind: "event", ttlMs }));
  const { seconds = 0n, nanos = 0 } = message?.ttl ?? {};
  expect(Number(seconds) * 1_000 + nanos / 1e6).toBeCloseTo(ttlMs, -0.5);
});

describe("refused before it is sent", () => {
  test.each([{}, { roomId: "r", tenant: true }, { userId: "a", users: [] }] as const)(
    "%j is not one audience",
    (to) => {
      expect(() => publishJson({ ...to, kind: "event" })).toThrow("publish: give exactly one of roomId, userId, users");
    },
  );
});

test("the contract's own form is passed on", () => {
  const request = { audience: { tenant: true }, message: { kind: "KIND_EVENT", binary: "AA==" } } as const;
  expect(publishJson(request)).toBe(request);
});
