import { fromBinary, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { PublishRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { digestOf } from "../../src/publish/draft.ts";

/** Stores hold digests of earlier versions, and a retry may come after an upgrade. */
const plain = {
  tenantId: "acme",
  requestId: "r",
  audience: { userId: "ann" },
  message: {
    kind: "KIND_NOTIFICATION",
    category: "chat",
    title: "t",
    content: "c",
    ttl: "60s",
    actor: { id: "bob", name: "Bob" },
    object: { type: "doc", id: "7" },
  },
};
const nested = {
  requestId: "r",
  replace: true,
  audience: { users: { userIds: ["a", "b"] } },
  message: {
    kind: "KIND_EVENT",
    event: "e",
    json: { b: [1, { z: null, a: "x" }], a: { "10": true, "9": 1.5, __proto__x: [] } },
  },
};

function requestOf(json: JsonValue) {
  return fromJson(PublishRequestSchema, json);
}

describe("The digest of a request", () => {
  test.each([
    ["a plain message", plain, "Y5lsL6IxIEJqHiV4Wr08oHCTmjA_APFy0iyRIUVOYBs"],
    ["a JSON payload", nested, "3br02fY-0NPo6tmj3WrNTYLZWdXDh9A7MvmcGfGc9A0"],
  ])("is what earlier versions computed for %s", (_name, json, digest) => {
    expect(digestOf(requestOf(json))).toBe(digest);
  });

  test("includes fields of newer versions", () => {
    const unknown = [0xfa, 0x7f, 3, 1, 2, 3];
    const bytes = new Uint8Array([...toBinary(PublishRequestSchema, requestOf(plain)), ...unknown]);
    expect(digestOf(fromBinary(PublishRequestSchema, bytes))).toBe("PP-VJVN4t1w0iBNQ1uvl0pYehMft2_EhC06AG6wDA4k");
  });

  test("leaves the request as it was", () => {
    const request = requestOf(nested);
    digestOf(request);
    expect(request).toEqual(requestOf(nested));
  });
});
