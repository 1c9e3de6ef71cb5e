import { create, fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kind } from "../../../gen/tidings/v1/message_pb.ts";
import { PublishRequestSchema } from "../../../gen/tidings/v1/push_service_pb.ts";
import { publishJson } from "../../../src/client/codec/json.ts";
import { publishInit } from "../../../src/client/codec/proto.ts";
import type { PublishRequest } from "../../../src/client/requests.ts";

/** Encodes a request as each client does, and returns the message that the server reads. */
const clients = {
  "The Protobuf client": (request: PublishRequest) =>
    fromBinary(
      PublishRequestSchema,
      toBinary(PublishRequestSchema, create(PublishRequestSchema, publishInit(request))),
    ),
  "The JSON client": (request: PublishRequest) =>
    fromJson(PublishRequestSchema, JSON.parse(JSON.stringify(publishJson(request))) as JsonValue),
};

const everything: Required<Omit<PublishRequest, "userId" | "users" | "tenant" | "everyone" | "binary">> = {
  roomId: "dm/ada/bob",
  kind: "notification",
  title: "t",
  content: "你好😀",
  url: "/x",
  category: "chat",
  event: "said",
  json: { list: [1, null, "a", true, { at: new Date(0), left: undefined }] },
  contentType: "text/plain",
  ttlMs: 1_500,
  requestId: "r1",
  replace: true,
  batchId: "b1",
  actor: { id: "ada", name: "Ada", avatarUrl: "/ada.png" },
  object: { type: "task", id: "7" },
  tenantId: "acme",
};

describe.each(Object.entries(clients))("%s", (_name, encode) => {
  const read = (request: PublishRequest) => toJson(PublishRequestSchema, encode(request));

  test("encodes every field of a plain publish", () => {
    const { roomId, kind, json, ttlMs, requestId, replace, tenantId, ...same } = everything;
    expect(read(everything)).toEqual({
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

  test("leaves no field of a Draft without a plain one", () => {
    const { message: draft } = encode(everything);
    const { message: withBytes } = encode({ tenant: true, kind: "event", binary: Uint8Array.of(0, 255) });
    expect(withBytes?.payload).toEqual({ case: "binary", value: Uint8Array.of(0, 255) });
    const set = Object.entries(draft ?? {}).filter(([, value]) => value !== undefined && value !== "");
    const known = PublishRequestSchema.field.message.message?.members.map(({ localName }) => localName) ?? [];
    expect(set.map(([name]) => name).filter((name) => !name.startsWith("$"))).toEqual(expect.arrayContaining(known));
  });

  test.each([
    [{ userId: "ada" }, { userId: "ada" }],
    [{ users: ["ada", "bob"] }, { users: { userIds: ["ada", "bob"] } }],
    [{ roomId: "r" }, { roomId: "r" }],
    [{ tenant: true }, { tenant: true }],
    [{ everyone: true }, { everyone: true }],
  ] as const)("takes %j as an audience", (given, audience) => {
    expect(read({ ...given, kind: "event" })).toEqual({ audience, message: { kind: "KIND_EVENT" } });
  });

  test.each([[null], [0], [""], [false], [[]], [{}]])("takes %j as a payload", (json) => {
    expect(read({ tenant: true, kind: "activity", json })).toMatchObject({ message: { kind: "KIND_ACTIVITY", json } });
  });

  test.each([
    [0.5, 1],
    [1, 1],
    [999, 999],
    [1_000.2, 1_001],
    [315_360_000_000, 315_360_000_000],
  ])("sends a ttlMs of %d as %d ms", (ttlMs, sent) => {
    const { seconds = 0n, nanos = 0 } = encode({ tenant: true, kind: "event", ttlMs }).message?.ttl ?? {};
    expect(Number(seconds) * 1_000 + nanos / 1_000_000).toBe(sent);
  });

  test("leaves a ttlMs out of range to the server", () => {
    expect(encode({ tenant: true, kind: "event", ttlMs: 0 }).message?.ttl).toMatchObject({ seconds: 0n, nanos: 0 });
  });

  test.each([
    { roomId: "r", tenant: true },
    { userId: "a", users: [] },
  ] as const)("refuses two audiences: %j", (to) => {
    const error = new TypeError("request: give exactly one of roomId, userId, users, tenant, everyone");
    expect(() => encode({ ...to, kind: "event" })).toThrow(error);
  });

  test("refuses a publish without an audience", () => {
    const error = new TypeError("request: give exactly one of roomId, userId, users, tenant, everyone");
    expect(() => encode({ kind: "event" })).toThrow(error);
  });

  test("refuses two payloads", () => {
    const both = { tenant: true, kind: "event", json: 1, binary: Uint8Array.of(1) } as const;
    expect(() => encode(both)).toThrow(new TypeError("request: give only one of json, binary"));
  });

  test.each([
    ["a bigint", 1n],
    ["a function", () => 1],
  ])("refuses %s as json", (_type, json) => {
    expect(() => encode({ tenant: true, kind: "event", json })).toThrow(
      new TypeError("json: must be a value that JSON.stringify takes"),
    );
  });
});

test("Both clients encode a plain publish to the same request", () => {
  const text = fc.string({ unit: "grapheme" });
  const optional: { requiredKeys: [] } = { requiredKeys: [] };
  const audience = fc.oneof(
    fc.record({ roomId: text }),
    fc.record({ userId: text }),
    fc.record({ users: fc.array(text) }),
    fc.constantFrom({ tenant: true } as const, { everyone: true } as const),
  );
  const payload = fc.oneof(
    fc.constant({}),
    fc.record({ json: fc.jsonValue() }),
    fc.record({ binary: fc.uint8Array() }),
  );
  const kind = fc.constantFrom("notification", "activity", "event");
  const rest = fc.record(
    {
      title: text,
      content: text,
      url: text,
      category: text,
      event: text,
      contentType: text,
      ttlMs: fc.oneof(fc.integer({ min: 1, max: 315_360_000_000 }), fc.double({ min: 0.001, max: 1e6, noNaN: true })),
      requestId: text,
      replace: fc.boolean(),
      batchId: text,
      actor: fc.record({ id: text, name: text, avatarUrl: text }, optional),
      object: fc.record({ type: text, id: text }),
      tenantId: text,
    },
    optional,
  );
  fc.assert(
    fc.property(audience, payload, kind, rest, (to, data, word, more) => {
      const request = { ...to, ...data, kind: word, ...more } as PublishRequest;
      const [proto, json] = Object.values(clients).map((encode) => toBinary(PublishRequestSchema, encode(request)));
      expect(json).toEqual(proto);
    }),
  );
});

describe("The contract's own form is sent as it is", () => {
  test("by the JSON client", () => {
    const request = { audience: { tenant: true }, message: { kind: "KIND_EVENT", binary: "AA==" } } as const;
    expect(publishJson(request)).toBe(request);
  });

  test("by the Protobuf client", () => {
    const request = { audience: { to: { case: "tenant", value: true } }, message: { kind: Kind.EVENT } } as const;
    expect(publishInit(request)).toBe(request);
    const empty = create(PublishRequestSchema);
    expect(publishInit(empty)).toBe(empty);
  });
});
