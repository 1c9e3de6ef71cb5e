/** Turns a violated validation rule into the path of a field and a sentence that tells the caller what to do. */
import { type DescEnum, type DescField, getOption } from "@bufbuild/protobuf";
import { isReflectMessage, type Path, pathToString, reflect } from "@bufbuild/protobuf/reflect";
import type { Violation } from "@bufbuild/protovalidate";
import { FieldRulesSchema, field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { FieldViolation } from "../errors.ts";

/** What a violation itself does not know. */
export interface ViolationContext {
  /** The path of the message that was checked, such as `requests[3]`; empty for a request itself. */
  readonly prefix: string;
  /** The sentence for a text that does not match a pattern, by pattern. */
  readonly sentences: ReadonlyMap<string, string>;
}

/** Returns the field and the sentence of a violation. */
export function toFieldViolation(violation: Violation, { prefix, sentences }: ViolationContext): FieldViolation {
  const { field: path, rule, message } = violation;
  const last = path.at(-1);
  if (last === undefined || (last.kind === "field" && rule.length === 0)) return ofMessage(path, message, prefix);
  if (last.kind === "oneof") {
    // A oneof has no path of its own on the wire, so name the message that contains it.
    const names = last.fields.map(({ name }) => name);
    return { field: join(prefix, path.slice(0, -1)), description: `set one of ${names.join(", ")}` };
  }
  const field = path.findLast((step) => step.kind === "field");
  return { field: join(prefix, path), description: field ? sentence(violation, field, sentences) : message };
}

/** A rule of a whole message names the invalid field in its sentence: `ids: name the messages`. */
function ofMessage(path: Path, message: string, prefix: string): FieldViolation {
  const [, name = "", description = message] = /^(\w+): (.*)$/s.exec(message) ?? [];
  return { field: [join(prefix, path), name].filter(Boolean).join("."), description };
}

function join(prefix: string, path: Path): string {
  return [prefix, pathToString(path)].filter(Boolean).join(".");
}

function sentence(
  { ruleId, rule, message }: Violation,
  field: DescField,
  sentences: ReadonlyMap<string, string>,
): string {
  const limit = limitOf(rule, field);
  switch (ruleId) {
    case "required":
      return "must be set";
    case "string.min_len":
    case "repeated.min_items":
      return limit === 1n ? "must not be empty" : message;
    case "string.max_len":
      return `must have at most ${limit} characters`;
    case "repeated.max_items":
      return `must have at most ${limit} items`;
    case "string.pattern":
      return sentences.get(String(limit)) ?? message;
    case "enum.defined_only":
    case "enum.not_in":
      return field.enum ? `must be one of ${namesOf(field.enum)}` : message;
    case "bool.const":
      return `must be ${limit}, or not be set`;
    case "int32.gte":
      return `must be at least ${limit}`;
    default:
      return message;
  }
}

/** The parameter of a rule, such as the 128 of `max_len: 128`. */
function limitOf(rule: Path, field: DescField): unknown {
  let value: unknown = reflect(FieldRulesSchema, getOption(field, fieldRules));
  for (const step of rule) {
    if (step.kind === "field" && isReflectMessage(value)) value = value.get(step);
  }
  return value;
}

/** The names of the values, without the value 0, which is `…_UNSPECIFIED` and refused. */
function namesOf({ values }: DescEnum): string {
  return values
    .filter(({ number }) => number !== 0)
    .map(({ name }) => name)
    .join(", ");
}
