import {
  create,
  createFileRegistry,
  type DescMessage,
  type FileRegistry,
  fromBinary,
  fromJson,
  getExtension,
  type JsonObject,
  setExtension,
  toBinary,
} from "@bufbuild/protobuf";
import { FieldOptionsSchema, type FileDescriptorSet, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import { field, RuleSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { loadDescriptors } from "../../src/contract/descriptors.ts";
import { createValidate } from "../../src/contract/validate.ts";
import { reasonOf } from "../../src/errors.ts";
import {
  MarkReadRequestSchema,
  PublishBatchRequestSchema,
  PublishRequestSchema,
  SubscribeResponseSchema,
} from "../../src/gen.ts";
import { rows } from "../support/request-fields.ts";
import { badUrls, goodUrls } from "../support/urls.ts";

const registry = loadDescriptors();
const validate = createValidate(registry);

/** Encodes and decodes a message, as a request that arrives over the wire. */
function received(schema: DescMessage, json: JsonObject) {
  return fromBinary(schema, toBinary(schema, fromJson(schema, json)));
}

/** The error that validation throws, or `undefined` when the request passes. */
function refusal(schema: DescMessage, json: JsonObject, prefix?: string): ConnectError | undefined {
  const message = received(schema, json);
  try {
    validate(schema, message, prefix);
    return undefined;
  } catch (error) {
    return error as ConnectError;
  }
}

/** The details of an error as a client reads them. */
function detailsOf(error: ConnectError | undefined) {
  const sent = error?.details.flatMap((detail) => ("desc" in detail ? [create(detail.desc, detail.value)] : [])) ?? [];
  const info = sent.find((detail) => detail.$typeName === ErrorInfoSchema.typeName);
  const badRequest = sent.find((detail) => detail.$typeName === BadRequestSchema.typeName);
  return JSON.parse(
    JSON.stringify({ info, violations: (badRequest as { fieldViolations?: unknown } | undefined)?.fieldViolations }),
  );
}

const draft = (message: JsonObject): JsonObject => ({
  audience: { userId: "u" },
  message: { kind: "KIND_EVENT", ...message },
});

describe("Validation of every request field", () => {
  const shorten = (json: JsonObject): string =>
    JSON.stringify(json)
      .replace(/((?:x|😀){8})(?:x|😀)*/g, "$1…")
      .slice(0, 80);

  test.each(rows.map((row) => ({ ...row, name: `refuses ${row.field} in ${shorten(row.bad)}` })))(
    "$name",
    ({ schema, bad, path, sentence, good }) => {
      const error = refusal(schema, bad);
      expect(error).toMatchObject({ code: Code.InvalidArgument, rawMessage: `${path}: ${sentence}` });
      expect(detailsOf(error)).toMatchObject({
        info: { reason: "FIELD_INVALID", domain: "tidings", metadata: { field: path } },
      });
      expect(detailsOf(error).violations[0]).toMatchObject({
        field: path,
        description: sentence,
        reason: "FIELD_INVALID",
      });
      expect(refusal(schema, good)).toBeUndefined();
    },
  );

  test("has a row in the table for each field but those without a rule", () => {
    const known = new Set(rows.map((row) => row.field));
    const left: string[] = [];
    const seen = new Set<DescMessage>();
    const walk = (message: DescMessage): void => {
      if (seen.has(message) || !message.typeName.startsWith("tidings.v1.")) return;
      seen.add(message);
      for (const member of message.fields) {
        const name = `${message.name}.${member.name}`;
        if (!known.has(name)) left.push(name);
        if (member.message) walk(member.message);
      }
    };
    for (const type of registry) if (type.kind === "message" && /Request$|^BridgeFrame$/.test(type.name)) walk(type);
    expect(left.sort()).toEqual([
      "Audience.users", // by UserIds.user_ids
      "DeleteMessagesRequest.expired_only",
      "DeleteMessagesRequest.recall",
      "DisconnectRequest.block_until",
      "Draft.actor", // by the fields of Actor
      "Draft.binary", // the server's maxMessageBytes bounds content and payload
      "Draft.content",
      "Draft.json",
      "Draft.object", // by the fields of ObjectRef
      "ListMessagesRequest.end_time",
      "ListMessagesRequest.start_time",
      "ListUnreadRequest.end_time",
      "ListUnreadRequest.start_time",
      "MarkReadRequest.ids", // by MessageIds.message_ids
      "MarkReadRequest.unread",
      "Position.epoch",
      "Position.seq",
      "SubscribeRequest.online_count",
    ]);
  });
});

describe("The error of an invalid request", () => {
  test("names all invalid fields, the first one in its sentence", () => {
    const error = refusal(PublishRequestSchema, { audience: {}, message: { title: "x".repeat(513), url: "data:," } });
    expect(error?.rawMessage).toBe("audience: set one of user_id, users, room_id, tenant, everyone");
    const fields = detailsOf(error).violations.map((violation: { field: string }) => violation.field);
    expect(fields).toEqual(["audience", "message.kind", "message.title", "message.url"]);
  });

  test("stays small when 10,000 fields are invalid", () => {
    const userIds = Array.from({ length: 10_000 }, () => "\n");
    const error = refusal(PublishRequestSchema, { ...draft({}), audience: { users: { userIds } } });
    expect(detailsOf(error).violations).toHaveLength(16);
  });

  test("has the path of the message within its batch or frame as a prefix", () => {
    expect(refusal(PublishRequestSchema, { message: { kind: 1 } }, "requests[3]")?.rawMessage).toBe(
      "requests[3].audience: must be set",
    );
    expect(refusal(PublishRequestSchema, draft({ url: "data:," }), "requests[0]")?.rawMessage).toMatch(
      /^requests\[0\]\.message\.url: /,
    );
    expect(refusal(MarkReadRequestSchema, {}, "mark_read")?.rawMessage).toMatch(/^mark_read\.target: set /);
  });

  test("never repeats the text that was sent", () => {
    const secret = "s3cr3t\n";
    const json = JSON.stringify(
      detailsOf(refusal(PublishRequestSchema, { ...draft({ url: `javascript:${secret}` }), tenantId: secret })),
    );
    expect(json).toContain("message.url");
    expect(json).not.toContain("s3cr3t");
  });
});

test("Validation of a batch does not check its items", () => {
  expect(refusal(PublishBatchRequestSchema, { requests: [{}, { message: { url: "javascript:1" } }] })).toBeUndefined();
});

describe("Validation passes a payload unread that is", () => {
  test.each([
    ["null", { json: null }],
    ["a nested object", { json: { a: [1, true, "\u0000\n", { b: null }], javascript: "javascript:1" } }],
    ["bytes", { binary: "AAH/", contentType: "application/octet-stream" }],
  ])("%s", (_name, payload: JsonObject) => {
    expect(refusal(PublishRequestSchema, draft(payload))).toBeUndefined();
  });
});

test("Validation passes a message without rules, and throws for a message that the descriptors do not have", () => {
  expect(refusal(SubscribeResponseSchema, { hello: { unread: { byCategory: { "": 1, system: 2 } } } })).toBeUndefined();
  const elsewhere = createValidate(createFileRegistry());
  expect(() => elsewhere(PublishRequestSchema, create(PublishRequestSchema))).toThrow(
    "tidings.v1.PublishRequest is not in the descriptors",
  );
});

const character = fc
  .oneof(
    fc.integer({ min: 0x20, max: 0x7e }),
    fc.integer({ min: 0x80, max: 0xd7ff }),
    fc.integer({ min: 0xe000, max: 0x10ffff }),
  )
  .map((point) => String.fromCodePoint(point));
const upTo = (maxLength: number) => fc.string({ unit: character, maxLength });
const id = (maxLength: number) => fc.string({ unit: character, minLength: 1, maxLength });

test("Validation passes every valid draft", () => {
  const drafts = fc.record(
    {
      kind: fc.constantFrom(1, 2, 3),
      category: upTo(64),
      title: fc.string({ unit: "grapheme", maxLength: 100 }),
      content: fc.string({ unit: "grapheme" }),
      url: fc.oneof(fc.webUrl({ withQueryParameters: true, withFragments: true }), fc.constant("/a?b#c")),
      actor: fc.record({ id: upTo(128), name: upTo(256), avatarUrl: fc.webUrl() }, { requiredKeys: [] }),
      object: fc.record({ type: id(64), id: id(128) }),
      event: upTo(128),
      json: fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<JsonObject>,
      ttl: fc.integer({ min: 1, max: 315_360_000 }).map((seconds) => `${seconds}s`),
      batchId: upTo(128),
    },
    { requiredKeys: ["kind"] },
  );
  fc.assert(
    fc.property(drafts, (message) => {
      expect(refusal(PublishRequestSchema, draft(message as JsonObject))).toBeUndefined();
    }),
  );
});

describe("Validation of URLs", () => {
  const stock = createValidator({ registry });
  const sayStock = (url: string): string => {
    const schema = registry.getMessage(PublishRequestSchema.typeName) as DescMessage;
    return stock.validate(schema, received(PublishRequestSchema, draft({ url }))).kind;
  };

  test("is tried on at least 50 bad and 20 good ones", () => {
    expect(badUrls.length).toBeGreaterThanOrEqual(50);
    expect(goodUrls.length).toBeGreaterThanOrEqual(20);
  });

  test.each(badUrls)("refuses %j", (url) => {
    expect(refusal(PublishRequestSchema, draft({ url }))?.rawMessage).toBe(
      "message.url: must be an https, http or relative URL",
    );
    expect(refusal(PublishRequestSchema, draft({ actor: { avatarUrl: url } }))?.rawMessage).toMatch(
      /^message\.actor\.avatar_url: /,
    );
    expect(sayStock(url), "with RE2").toBe("invalid");
  });

  test.each(goodUrls)("passes %j", (url) => {
    expect(refusal(PublishRequestSchema, draft({ url, actor: { avatarUrl: url } }))).toBeUndefined();
    expect(sayStock(url), "with RE2").toBe("valid");
  });

  test("passes only URLs that browsers resolve to https or http", () => {
    const parts = [
      "java",
      "script",
      "data",
      "https",
      "http",
      ":",
      "/",
      "\\",
      "?",
      "#",
      "@",
      "&",
      ";",
      "\t",
      "\n",
      " ",
      "a",
      "%3a",
      "ü",
      ".",
    ];
    const attempts = fc.array(fc.constantFrom(...parts), { maxLength: 8 }).map((chosen) => chosen.join(""));
    fc.assert(
      fc.property(attempts, (url) => {
        if (refusal(PublishRequestSchema, draft({ url }))) return;
        const base = "https://page.example/dir/";
        if (URL.canParse(url, base)) expect(new URL(url, base).protocol).toMatch(/^https?:$/);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("A broken rule", () => {
  /** The descriptors with one more rule on Draft.title. */
  function withRule(expression: string): FileRegistry {
    const set: FileDescriptorSet = create(FileDescriptorSetSchema, {
      file: [...registry.files].map(({ proto }) => proto),
    });
    const copy = fromBinary(FileDescriptorSetSchema, toBinary(FileDescriptorSetSchema, set));
    const messages = copy.file.flatMap(({ messageType }) => messageType);
    const title = messages.find(({ name }) => name === "Draft")?.field.find(({ name }) => name === "title");
    const options = title?.options ?? create(FieldOptionsSchema);
    const rules = getExtension(options, field);
    rules.cel.push(create(RuleSchema, { id: "test", message: "test", expression }));
    setExtension(options, field, rules);
    return createFileRegistry(copy);
  }

  test("that does not compile prevents the start", () => {
    expect(() => createValidate(withRule("this ="))).toThrow("the validation rules of tidings.v1.Draft do not work");
  });

  test("that fails on an empty message prevents the start", () => {
    expect(() => createValidate(withRule("10 / size(this) > 0"))).toThrow(
      "the validation rules of tidings.v1.Draft do not work",
    );
  });

  test("that fails on a request is an INTERNAL error, which does not reveal the cause", () => {
    const fragile = createValidate(withRule("10 / (size(this) - 3) != 99"));
    const request = fromJson(PublishRequestSchema, draft({ title: "abc" }));
    const error = (() => {
      try {
        fragile(PublishRequestSchema, request);
        return undefined;
      } catch (thrown) {
        return thrown as ConnectError;
      }
    })();
    expect(error).toBeInstanceOf(ConnectError);
    expect(error).toMatchObject({ code: Code.Internal, rawMessage: "internal error" });
    expect(error && reasonOf(error)).toBe("INTERNAL");
    expect(String(error?.cause)).toMatch(/divi/i);
  });
});
