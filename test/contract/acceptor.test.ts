import {
  clone,
  create,
  createFileRegistry,
  type DescMessage,
  type FileRegistry,
  fromBinary,
  fromJson,
  type JsonObject,
  type Message,
  setExtension,
} from "@bufbuild/protobuf";
import {
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  MessageOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import {
  FieldRulesSchema,
  field as fieldRules,
  MessageRulesSchema,
  message as messageRules,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Acceptors } from "../../src/contract/acceptor.ts";
import { loadDescriptors } from "../../src/contract/descriptors.ts";
import { toNativePatterns } from "../../src/contract/native-patterns.ts";
import { rows } from "../support/request-fields.ts";
import { wildRequest } from "../support/wild-requests.ts";

const { registry } = toNativePatterns(loadDescriptors());
const own = messagesOf(registry);
const validator = createValidator({ registry });
const acceptors = new Acceptors();

function messagesOf(from: FileRegistry): DescMessage[] {
  return [...from].filter(
    (type): type is DescMessage => type.kind === "message" && type.typeName.startsWith("tidings."),
  );
}

function accepts(desc: DescMessage, message: Message): boolean {
  return acceptors.of(desc)?.(message) ?? false;
}

/** The type of a request with its rules, which the generated schema does not have. */
function ruled({ typeName }: DescMessage): DescMessage {
  return registry.getMessage(typeName) as DescMessage;
}

/** Values at and around the limits of the contract, in characters that JavaScript counts as one and as two. */
const extreme: fc.Arbitrary<unknown> = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("x", "😀", "é", "\u0000", "\u007f", "\n", "\ud800", "/", "https://a/", " "),
      fc.constantFrom(
        0,
        1,
        2,
        31,
        32,
        33,
        64,
        65,
        127,
        128,
        129,
        256,
        257,
        320,
        321,
        325,
        326,
        512,
        513,
        2048,
        2049,
        12288,
        12289,
      ),
    )
    .map(([unit, count]) => unit.repeat(count)),
  fc.constantFrom("user", "tenant", "room/a", "room/", "everyone", "//a", "/a", "javascript:a", "https://a"),
  fc.constantFrom(-1, 0, 1, 2, 3, 4, 1000, 1001, 2 ** 31 - 1, -(2 ** 31), 2 ** 32 - 1),
  fc.constantFrom(0n, 1n, -1n, 315_359_999n, 315_360_000n, 315_360_001n, 2n ** 63n - 1n),
  fc.boolean(),
);

/** The path to a text, number or flag in a message. */
type Leaf = readonly [holder: Record<string, unknown>, key: string];

function leavesOf(holder: object): Leaf[] {
  return Object.entries(holder).flatMap(([key, value]) => {
    if (key.startsWith("$") || key === "case") return [];
    if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) return leavesOf(value);
    return [[holder as Record<string, unknown>, key] as const];
  });
}

describe("An acceptor", () => {
  test("exists for every message of the contract", () => {
    expect(own.filter((desc) => acceptors.of(desc) === undefined).map(({ name }) => name)).toEqual([]);
  });

  test("accepts the good request of each rule, and no bad one", () => {
    for (const { field, schema, good, bad } of rows) {
      // Texts of emoji at the limit are left to protovalidate, since JavaScript counts each as two.
      const plain = JSON.parse(JSON.stringify(good).replaceAll("😀", "x"));
      expect.soft(accepts(ruled(schema), fromJson(schema, plain)), `${field}, good`).toBe(true);
      expect.soft(accepts(ruled(schema), fromJson(schema, bad)), `${field}, bad`).toBe(false);
    }
  });

  test.each(own.filter(({ name }) => name.endsWith("Request")))(
    "accepts no $name that protovalidate refuses, whatever its fields",
    (desc) => {
      fc.assert(
        fc.property(wildRequest(desc), ({ binary }) => {
          const message = fromBinary(desc, binary);
          if (accepts(desc, message)) expect(validator.validate(desc, message).kind).toBe("valid");
        }),
        { numRuns: 200 },
      );
    },
  );

  test("accepts no good request with one extreme value that protovalidate refuses", () => {
    let accepted = 0;
    let refused = 0;
    fc.assert(
      fc.property(fc.constantFrom(...rows), fc.nat(), extreme, ({ schema, good }, at, value) => {
        const desc = ruled(schema);
        const message = fromJson(schema, good);
        const leaves = leavesOf(message).filter(([holder, key]) => typeof holder[key] === typeof value);
        const leaf = leaves[at % leaves.length];
        if (leaf) leaf[0][leaf[1]] = value;
        if (!accepts(desc, message)) refused++;
        else {
          accepted++;
          expect(validator.validate(desc, message).kind).toBe("valid");
        }
      }),
      { numRuns: 5000 },
    );
    // All other requests are close to good ones, so both outcomes must occur.
    expect(Math.min(accepted, refused)).toBeGreaterThan(500);
  });

  test("accepts a batch whatever its items, which are checked one by one", () => {
    const desc = registry.getMessage("tidings.v1.PublishBatchRequest") as DescMessage;
    expect(accepts(desc, fromJson(desc, { requests: [{}] }))).toBe(true);
    expect(accepts(desc, fromJson(desc, { requests: [] }))).toBe(false);
  });
});

/** The contract with other rules for a field of Draft, or for Draft as a whole. */
function changed(change: { field?: string; rules?: JsonObject; message?: JsonObject }): DescMessage {
  const file = [...registry.files].map(({ proto }) => {
    const copy = clone(FileDescriptorProtoSchema, proto);
    const draft = copy.messageType.find(({ name }) => name === "Draft");
    const field = draft?.field.find(({ name }) => name === change.field);
    if (draft && change.message) {
      draft.options ??= create(MessageOptionsSchema);
      setExtension(draft.options, messageRules, fromJson(MessageRulesSchema, change.message));
    }
    if (field && change.rules) {
      field.options ??= create(FieldOptionsSchema);
      setExtension(field.options, fieldRules, fromJson(FieldRulesSchema, change.rules));
    }
    return copy;
  });
  const altered = createFileRegistry(create(FileDescriptorSetSchema, { file }));
  return altered.getMessage("tidings.v1.Draft") as DescMessage;
}

describe("Acceptors leave to protovalidate a message with", () => {
  test.each([
    { what: "another rule of a text", field: "title", rules: { string: { prefix: "a" } } },
    { what: "a list of texts", field: "title", rules: { string: { in: ["a"] } } },
    { what: "a rule in CEL", field: "title", rules: { cel: [{ id: "a", expression: "this != ''" }] } },
    { what: "a text that must be set", field: "title", rules: { required: true } },
    { what: "a rule of a number of another type", field: "binary", rules: { bytes: { maxLen: "3" } } },
    { what: "another limit of a duration", field: "ttl", rules: { duration: { lt: "3s" } } },
    { what: "a duration outside of a range", field: "ttl", rules: { duration: { gt: "9s", lte: "3s" } } },
    { what: "an enum that is one of a list", field: "kind", rules: { enum: { in: [1] } } },
    { what: "a choice that is ignored when zero", field: "binary", rules: { ignore: "IGNORE_IF_ZERO_VALUE" } },
    { what: "a message that is ignored when zero", field: "actor", rules: { ignore: "IGNORE_IF_ZERO_VALUE" } },
    { what: "an unknown rule of the whole", message: { cel: [{ id: "a", expression: "this.title != 'a'" }] } },
    { what: "one of several fields", message: { oneof: [{ fields: ["title", "content"] }] } },
  ])("$what", ({ field, rules, message }) => {
    const desc = changed({ ...(field ? { field } : {}), ...(rules ? { rules } : {}), ...(message ? { message } : {}) });
    expect(new Acceptors().of(desc)).toBeUndefined();
    // Without a change of the rules there is an acceptor.
    expect(new Acceptors().of(changed({}))).toBeDefined();
  });
});
