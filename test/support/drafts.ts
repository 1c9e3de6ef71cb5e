/** Arbitrary drafts for property tests: everything that Protobuf can carry, valid or not. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { type Draft, DraftSchema, Kind } from "../../gen/tidings/v1/message_pb.ts";

function jsonOf(kind: MessageInitShape<typeof ValueSchema>["kind"]): Value {
  return create(ValueSchema, { kind } as MessageInitShape<typeof ValueSchema>);
}

const key = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("__proto__", "constructor", "toString", ""));
const number = fc.oneof(
  fc.double(),
  fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, Number.MAX_VALUE, 5e-324),
);

/** Values of every kind and of none. */
const anyValue: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 12, depthSize: "medium", withCrossShrink: true },
    { arbitrary: fc.string({ unit: "binary" }).map((value) => jsonOf({ case: "stringValue", value })), weight: 6 },
    { arbitrary: fc.boolean().map((value) => jsonOf({ case: "boolValue", value })), weight: 3 },
    {
      arbitrary: fc
        .double({ noNaN: true, noDefaultInfinity: true })
        .map((value) => jsonOf({ case: "numberValue", value })),
      weight: 6,
    },
    { arbitrary: number.map((value) => jsonOf({ case: "numberValue", value })), weight: 1 },
    {
      arbitrary: fc.constantFrom(0, 1, -7).map((value) => jsonOf({ case: "nullValue", value: value as 0 })),
      weight: 2,
    },
    { arbitrary: fc.constant(create(ValueSchema)), weight: 1 },
    {
      arbitrary: fc
        .array(tie("value"), { maxLength: 20 })
        .map((values) => jsonOf({ case: "listValue", value: { values } })),
      weight: 4,
    },
    {
      arbitrary: fc
        .array(fc.tuple(key, tie("value")), { maxLength: 10 })
        .map((entries) => jsonOf({ case: "structValue", value: { fields: Object.fromEntries(entries) } })),
      weight: 4,
    },
  ),
})).value;

/** A text inside lists and objects, as deep as the contract allows, and a little deeper. */
const deep = fc
  .tuple(fc.string(), fc.array(fc.boolean(), { minLength: 25, maxLength: 34 }))
  .map(([innermost, levels]) =>
    levels.reduce(
      (inner, isList) =>
        isList
          ? jsonOf({ case: "listValue", value: { values: [inner] } })
          : jsonOf({ case: "structValue", value: { fields: { k: inner } } }),
      jsonOf({ case: "stringValue", value: innermost }),
    ),
  );

/** A list or an object with very many members. */
const wide = fc.tuple(fc.string(), fc.integer({ min: 500, max: 1_500 }), fc.boolean()).map(([word, count, isList]) => {
  const member = jsonOf({ case: "stringValue", value: word });
  const fields = Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, member]));
  return isList
    ? jsonOf({ case: "listValue", value: { values: Array(count).fill(member) as Value[] } })
    : jsonOf({ case: "structValue", value: { fields } });
});

/** Values of every kind and of none, now and then very deep or very wide. */
export const value: fc.Arbitrary<Value> = fc.oneof(
  { arbitrary: anyValue, weight: 18 },
  { arbitrary: deep, weight: 1 },
  { arbitrary: wide, weight: 1 },
);

const text = fc.string({ unit: "binary", maxLength: 40 });

/** Drafts with any payload, enum, duration and text. */
export const draft: fc.Arbitrary<Draft> = fc
  .record({
    kind: fc.constantFrom(Kind.NOTIFICATION, Kind.ACTIVITY, Kind.EVENT, 0 as Kind, 99 as Kind),
    category: fc.oneof(fc.constant(""), text),
    title: text,
    content: text,
    url: fc.oneof(fc.constantFrom("", "/a", "https://example.com/ü"), text),
    event: fc.oneof(fc.constant(""), text),
    contentType: fc.constantFrom("", "image/png"),
    actor: fc.option(fc.record({ id: text, name: text, avatarUrl: fc.constantFrom("", "/p.png") }), { nil: undefined }),
    object: fc.option(fc.record({ type: text, id: text }), { nil: undefined }),
    payload: fc.oneof(
      value.map((json) => ({ case: "json" as const, value: json })),
      fc.uint8Array().map((bytes) => ({ case: "binary" as const, value: new Uint8Array(bytes) })),
      fc.constant({ case: undefined }),
    ),
    ttl: fc.option(
      fc.record({
        seconds: fc.bigInt({ min: -5n, max: 400_000_000n }),
        nanos: fc.oneof(
          { arbitrary: fc.integer({ min: 0, max: 999_999_999 }), weight: 4 },
          { arbitrary: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), weight: 1 },
        ),
      }),
      { nil: undefined },
    ),
  })
  .map((fields) => create(DraftSchema, fields as MessageInitShape<typeof DraftSchema>));
