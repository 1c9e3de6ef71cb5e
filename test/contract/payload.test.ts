import { create, createFileRegistry, fromBinary, toBinary, toJsonString } from "@bufbuild/protobuf";
import { DurationSchema, FileDescriptorSetSchema, type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { MessageSchema } from "../../gen/tidings/v1/message_pb.ts";
import {
  ListUnreadRequestSchema,
  PublishBatchRequestSchema,
  PublishRequestSchema,
} from "../../gen/tidings/v1/push_service_pb.ts";
import { loadDescriptors } from "../../src/contract/descriptors.ts";
import { PayloadCheck } from "../../src/contract/payload.ts";
import { createValidate } from "../../src/contract/validate.ts";
import { toMessage } from "../../src/publish/draft.ts";
import { envelopedIn } from "../../src/wire/formats.ts";
import { MessageFrame } from "../../src/wire/frame.ts";
import { draft, value } from "../support/drafts.ts";

const validate = createValidate(loadDescriptors());

function number(value: number): Value {
  return create(ValueSchema, { kind: { case: "numberValue", value } });
}

function text(value: string): Value {
  return create(ValueSchema, { kind: { case: "stringValue", value } });
}

function list(...values: Value[]): Value {
  return create(ValueSchema, { kind: { case: "listValue", value: { values } } });
}

function struct(fields: Record<string, Value>): Value {
  return create(ValueSchema, { kind: { case: "structValue", value: { fields } } });
}

const none = create(ValueSchema);
const flawed: readonly (readonly [name: string, value: Value])[] = [
  ["NaN", number(Number.NaN)],
  ["Infinity", number(Number.POSITIVE_INFINITY)],
  ["-Infinity in a list", list(number(1), number(Number.NEGATIVE_INFINITY))],
  ["a value without a kind", none],
  ["a value without a kind in a list", list(none)],
  ["a value without a kind in an object", struct({ a: struct({ b: none }) })],
  ["half a surrogate pair", text("a\ud800")],
  ["half a surrogate pair in a key", struct({ "\udc00": text("") })],
  ["half a surrogate pair deep down", struct({ a: list(struct({ b: text("\udfff!") })) })],
];

function requestOf(json: Value) {
  return create(PublishRequestSchema, {
    audience: { to: { case: "userId", value: "ann" } },
    message: { kind: 1, payload: { case: "json", value: json } },
  });
}

function fieldOf(call: () => void): string | undefined {
  try {
    call();
  } catch (error) {
    const [info] = ConnectError.from(error).details;
    return info && "desc" in info && info.desc.typeName === ErrorInfoSchema.typeName
      ? (info.value as { metadata: { field: string } }).metadata.field
      : undefined;
  }
  return undefined;
}

describe("A JSON payload is refused with its path where it has", () => {
  test.each(flawed)("%s", (_name, json) => {
    expect(fieldOf(() => validate(PublishRequestSchema, requestOf(json)))).toBe("message.json");
    const inBatch = () => validate(PublishRequestSchema, requestOf(json), "requests[3]");
    expect(fieldOf(inBatch)).toBe("requests[3].message.json");
  });
});

describe("Of times, those whose nanoseconds JSON cannot express are refused with their path:", () => {
  test.each<[seconds: bigint, nanos: number]>([
    [0n, -1],
    [0n, 1_000_000_000],
    [0n, 2 ** 31 - 1],
  ])("a time of %s s and %s ns", (seconds, nanos) => {
    const request = create(ListUnreadRequestSchema, { startTime: { seconds, nanos } });
    expect(fieldOf(() => validate(ListUnreadRequestSchema, request))).toBe("start_time");
  });

  test.each<[seconds: bigint, nanos: number]>([
    [1n, -1],
    [1n, 1_000_000_000],
  ])("a ttl of %s s and %s ns", (seconds, nanos) => {
    const request = requestOf(text(""));
    Object.assign(request.message ?? {}, { ttl: create(DurationSchema, { seconds, nanos }) });
    expect(fieldOf(() => validate(PublishRequestSchema, request))).toBe("message.ttl");
  });

  test("those at the bounds, and beyond the year 9999, are not", () => {
    for (const [seconds, nanos] of [
      [-62_135_596_800n, 0],
      [253_402_300_799n, 999_999_999],
      [8_640_000_000_000n, 0],
    ] as const) {
      const request = create(ListUnreadRequestSchema, { startTime: { seconds, nanos } });
      expect(fieldOf(() => validate(ListUnreadRequestSchema, request))).toBeUndefined();
    }
  });
});

test("An invalid payload in a batch does not refuse the batch", () => {
  const requests = [requestOf(none), requestOf(text("ok"))];
  expect(fieldOf(() => validate(PublishBatchRequestSchema, create(PublishBatchRequestSchema, { requests })))).toBe(
    undefined,
  );
});

test("Values in lists and maps of any message are found", () => {
  const file = createFileRegistry(
    create(FileDescriptorSetSchema, {
      file: [
        ...[...loadDescriptors().files].map(({ proto }) => proto).filter(({ name }) => /struct\.proto$/.test(name)),
        {
          name: "x.proto",
          package: "x",
          syntax: "proto3",
          dependency: ["google/protobuf/struct.proto"],
          messageType: [
            {
              name: "Outer",
              field: [
                { name: "some_values", number: 1, label: 3, type: 11, typeName: ".google.protobuf.Value" },
                { name: "by_key", number: 2, label: 3, type: 11, typeName: ".x.Outer.ByKeyEntry" },
              ],
              nestedType: [
                {
                  name: "ByKeyEntry",
                  options: { mapEntry: true },
                  field: [
                    { name: "key", number: 1, label: 1, type: 9 },
                    { name: "value", number: 2, label: 1, type: 11, typeName: ".google.protobuf.Value" },
                  ],
                },
              ],
            },
          ],
        },
      ],
    }),
  );
  const desc = file.getMessage("x.Outer");
  if (!desc) throw new Error("no message");
  const check = (init: object) =>
    fieldOf(() => new PayloadCheck().check(desc, Object.assign(create(desc), init), "a[0]"));
  expect(check({ someValues: [text(""), none] })).toBe("a[0].some_values[1]");
  expect(check({ byKey: { k: none } })).toBe('a[0].by_key["k"]');
  expect(check({ byKey: { k: text("") } })).toBeUndefined();
});

test("Every message that validation lets through can be encoded in both codecs", () => {
  let accepted = 0;
  fc.assert(
    fc.property(draft, (message) => {
      const audience = { to: { case: "userId", value: "ann" } } as const;
      const request = create(PublishRequestSchema, { audience, message });
      // What arrives by Protobuf.
      const received = fromBinary(PublishRequestSchema, toBinary(PublishRequestSchema, request));
      if (fieldOf(() => validate(PublishRequestSchema, received)) !== undefined || !received.message) return;
      accepted++;
      const body = toBinary(MessageSchema, create(MessageSchema, toMessage(received.message)));
      const frame = new MessageFrame(
        body,
        1,
        { id: "i", seq: 1, position: { feed: "user", epoch: 1, seq: "1" } },
        () => {
          throw new Error("the payload was left out");
        },
      );
      for (const codec of ["proto", "json"] as const) frame.encoded(envelopedIn(codec).plain);
      JSON.parse(toJsonString(MessageSchema, frame.message));
    }),
    { numRuns: 500 },
  );
  expect(accepted).toBeGreaterThan(50);
});

test("A value that validation refuses has no JSON form, and no other value lacks one", () => {
  fc.assert(
    fc.property(value, (json) => {
      const received = fromBinary(ValueSchema, toBinary(ValueSchema, json));
      const refused = fieldOf(() => validate(PublishRequestSchema, requestOf(received))) !== undefined;
      let fails = false;
      try {
        toJsonString(ValueSchema, received);
      } catch {
        fails = true;
      }
      expect(fails).toBe(refused);
    }),
    { numRuns: 500 },
  );
});
