/** What a broken validation rule is to the caller: the path of a field and a sentence that says what to do. */
import { type DescEnum, type DescField, getOption } from "@bufbuild/protobuf";
import { isReflectMessage, type Path, pathToString, reflect } from "@bufbuild/protobuf/reflect";
import type { Violation } from "@bufbuild/protovalidate";
import { FieldRulesSchema, field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { FieldViolation } from "../errors.ts";

/** Fields whose pattern does more than keep control characters out. */
const patternSentences: Readonly<Record<string, string>> = {
  "tidings.v1.Position.feed": "must be user, tenant, activity, everyone or room/<id>",
  "tidings.v1.Actor.avatar_url": "must be an https, http or relative URL",
  "tidings.v1.Draft.url": "must be an https, http or relative URL",
};

/** The field and the sentence of a violation. `prefix`: the path of the message that was checked. */
export function toFieldViolation({ field: path, rule, ruleId, message }: Violation, prefix: string): FieldViolation {
  const last = path.at(-1);
  if (last === undefined || (last.kind === "field" && rule.length === 0)) return ofMessage(path, message, prefix);
  if (last.kind === "oneof") {
    // A oneof is no field on the wire, so the message that has it is at fault.
    const names = last.fields.map(({ name }) => name);
    return { field: join(prefix, path.slice(0, -1)), description: `set one of ${names.join(", ")}` };
  }
  const field = path.findLast((step) => step.kind === "field");
  return { field: join(prefix, path), description: field ? sentence(ruleId, rule, field, message) : message };
}

/** A rule of a whole message names the field at fault itself: `ids: name the messages`. */
function ofMessage(path: Path, message: string, prefix: string): FieldViolation {
  const [, name = "", description = message] = /^(\w+): (.*)$/s.exec(message) ?? [];
  return { field: [join(prefix, path), name].filter(Boolean).join("."), description };
}

function join(prefix: string, path: Path): string {
  return [prefix, pathToString(path)].filter(Boolean).join(".");
}

function sentence(ruleId: string, rule: Path, field: DescField, given: string): string {
  const limit = limitOf(rule, field);
  switch (ruleId) {
    case "required":
      return "must be set";
    case "string.min_len":
    case "repeated.min_items":
      return limit === 1n ? "must not be empty" : given;
    case "string.max_len":
      return `must have at most ${limit} characters`;
    case "repeated.max_items":
      return `must have at most ${limit} items`;
    case "string.pattern":
      return patternSentences[`${field.parent?.typeName}.${field.name}`] ?? "must not contain control characters";
    case "enum.defined_only":
    case "enum.not_in":
      return field.enum ? `must be one of ${namesOf(field.enum)}` : given;
    case "bool.const":
      return `must be ${limit}, or not be set`;
    case "int32.gte":
      return `must be at least ${limit}`;
    default:
      return given;
  }
}

/** The value that a rule was given, such as the 128 of `max_len: 128`. */
function limitOf(rule: Path, field: DescField): unknown {
  let value: unknown = reflect(FieldRulesSchema, getOption(field, fieldRules));
  for (const step of rule) {
    if (step.kind === "field" && isReflectMessage(value)) value = value.get(step);
  }
  return value;
}

/** The first is `…_UNSPECIFIED`, which nobody should be told to send. */
function namesOf({ values }: DescEnum): string {
  return values
    .filter(({ number }) => number !== 0)
    .map(({ name }) => name)
    .join(", ");
}
