import {
  clone,
  create,
  createFileRegistry,
  type DescExtension,
  type DescMessage,
  type FileRegistry,
  fromJson,
  getOption,
  type JsonObject,
  setExtension,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import {
  type FieldRules,
  field as fieldRules,
  PredefinedRulesSchema,
  predefined,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { describe, expect, test } from "vitest";
import { loadDescriptors } from "../../src/contract/descriptors.ts";
import { toNativePatterns } from "../../src/contract/native-patterns.ts";
import { createValidate } from "../../src/contract/validate.ts";
import { PublishRequestSchema } from "../../src/gen.ts";
import { rows } from "../support/request-fields.ts";

const registry = loadDescriptors();

/** The string rules of all fields of the contract, with the name of the field. */
function stringRules(from: FileRegistry) {
  const messages = [...from].filter(
    (type): type is DescMessage => type.kind === "message" && type.typeName.startsWith("tidings.v1."),
  );
  return messages.flatMap(({ name, fields }) =>
    fields.flatMap((field) => {
      const found = ofText(getOption(field, fieldRules));
      return found ? [{ name: `${name}.${field.name}`, rules: found }] : [];
    }),
  );
}

function ofText(rules: FieldRules | undefined) {
  if (rules?.type.case === "repeated") return ofText(rules.type.value.items);
  return rules?.type.case === "string" ? rules.type.value : undefined;
}

/** Returns a function that lists the paths of the fields that are invalid by the rules of a registry. */
function createCheck(descriptors: FileRegistry) {
  const validator = createValidator({ registry: descriptors });
  return (schema: DescMessage, json: JsonObject): string[] => {
    const { violations = [] } = validator.validate(
      descriptors.getMessage(schema.typeName) as DescMessage,
      fromJson(schema, json),
    );
    return violations.map(({ field }) => field.map((step) => ("name" in step ? step.name : step.kind)).join("."));
  };
}

/** The contract with another expression in a predefined rule. */
function withExpression(name: string, expression: string): FileRegistry {
  const extension = registry.getExtension(`tidings.validate.v1.${name}`) as DescExtension;
  const file = [...registry.files].map(({ proto }) => {
    if (proto !== extension.file.proto) return proto;
    const copy = clone(FileDescriptorProtoSchema, proto);
    const options = copy.extension.find((each) => each.name === name)?.options;
    const cel = getOption(extension, predefined).cel.map((rule) => ({ ...rule, expression }));
    if (options) setExtension(options, predefined, create(PredefinedRulesSchema, { cel }));
    return copy;
  });
  return createFileRegistry(create(FileDescriptorSetSchema, { file }));
}

describe("toNativePatterns", () => {
  test("leaves no predefined rule in the contract, so that none of its text is checked in CEL", () => {
    const before = stringRules(registry).filter(({ rules }) => rules.$unknown);
    expect(before.length).toBeGreaterThan(30);
    const after = stringRules(toNativePatterns(registry).registry);
    expect(after.filter(({ rules }) => rules.$unknown)).toEqual([]);
    const patterns = new Map(after.map(({ name, rules }) => [name, rules.pattern]));
    expect(before.filter(({ name }) => !patterns.get(name))).toEqual([]);
  });

  test("gives each pattern the sentence of its rule", () => {
    expect([...toNativePatterns(registry).sentences.values()].sort()).toEqual([
      "must be an https, http or relative URL",
      "must be user, tenant, activity, everyone or room/<id>",
      "must not contain control characters",
    ]);
  });

  test("does not change the given descriptors, which reflection serves", () => {
    toNativePatterns(registry);
    expect(stringRules(registry).filter(({ rules }) => rules.$unknown).length).toBeGreaterThan(30);
  });

  test("makes the same fields invalid as CEL does", () => {
    const inCel = createCheck(registry);
    const native = createCheck(toNativePatterns(registry).registry);
    const patterned = rows.filter(({ sentence }) => /control characters|relative URL|room\/<id>/.test(sentence));
    expect(patterned.length).toBeGreaterThan(30);
    for (const { field, schema, bad, good } of patterned) {
      const invalid = inCel(schema, bad);
      expect.soft(invalid, field).not.toEqual([]);
      expect.soft(native(schema, bad), field).toEqual(invalid);
      expect.soft(native(schema, good), field).toEqual([]);
    }
  });

  test("leaves a rule that is more than a pattern to CEL, where it still works", () => {
    const descriptors = withExpression("no_control_characters", "!rule || !this.contains('\\n')");
    expect(toNativePatterns(descriptors).sentences.size).toBe(2);
    const message = { kind: 3, category: "a\nb" };
    const request = fromJson(PublishRequestSchema, { audience: { userId: "\t" }, message });
    expect(() => createValidate(descriptors)(PublishRequestSchema, request)).toThrow(
      "message.category: must not contain control characters",
    );
  });

  test("returns the given descriptors when they have no predefined rules", () => {
    const empty = createFileRegistry();
    expect(toNativePatterns(empty).registry).toBe(empty);
  });
});
