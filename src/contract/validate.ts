/** Checks requests against the validation rules of the contract. */
import { create, type DescMessage, type FileRegistry, type MessageShape } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import { fail } from "../errors.ts";
import { Acceptors } from "./acceptor.ts";
import { toNativePatterns } from "./native-patterns.ts";
import { PayloadCheck } from "./payload.ts";
import { toFieldViolation } from "./violation.ts";

/**
 * Checks a message. Throws FIELD_INVALID with the path of the first invalid field, spelled as in the contract
 * (`message.url`, or with the prefix `requests[3]`, `requests[3].message.url`), and up to 16 invalid fields in
 * BadRequest; also for a value or a time that JSON cannot express, such as NaN. Throws INTERNAL when a rule itself fails.
 * The items of a PublishBatchRequest are not checked with it, but one by one.
 */
export type Validate = <Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>, prefix?: string) => void;

/** Bounds an error, which gRPC sends in HTTP/2 headers: a request may have 10,000 invalid user ids. */
const maxViolations = 16;

/** The rules of messages of this package are compiled at the start, those of others when first needed. */
const ownPackage = "tidings.v1.";

/** Shared by the servers of one process, because compiling the rules takes longer than the rest of the start. */
const compiled = new WeakMap<FileRegistry, Validate>();

/**
 * Creates the check by the rules of the descriptors, or returns the one created before for the same descriptors.
 * Compiles all rules of the contract and tries them on empty messages. Throws when a rule does not compile or fails.
 */
export function createValidate(registry: FileRegistry): Validate {
  const validate = compiled.get(registry) ?? compile(registry);
  compiled.set(registry, validate);
  return validate;
}

function compile(descriptors: FileRegistry): Validate {
  const { registry, sentences } = toNativePatterns(descriptors);
  const payloads = new PayloadCheck();
  const acceptors = new Acceptors();
  const validator = createValidator({ registry, regexMatch: createRegexMatch() });
  for (const type of registry) {
    if (type.kind !== "message" || !type.typeName.startsWith(ownPackage)) continue;
    const { error } = validator.validate(type, create(type));
    if (error && error.name !== "ValidationError") {
      throw new Error(`the validation rules of ${type.typeName} do not work`, { cause: error });
    }
  }

  return (schema, message, prefix = "") => {
    // Look up the descriptor: the generated schema has no rules.
    const desc = registry.getMessage(schema.typeName);
    if (!desc) throw new Error(`${schema.typeName} is not in the descriptors`);
    if (acceptors.of(desc)?.(message)) return payloads.check(desc, message, prefix);
    const { violations, error } = validator.validate(desc, message);
    if (error === undefined) return payloads.check(desc, message, prefix);
    if (violations === undefined) throw fail("INTERNAL", "internal error", { cause: error });
    const found = violations
      .slice(0, maxViolations)
      .map((violation) => toFieldViolation(violation, { prefix, sentences }));
    const [{ field, description } = { field: prefix, description: error.message }, ...others] = found;
    throw fail("FIELD_INVALID", description, { field, violations: others });
  };
}

/**
 * Matches with the platform's RegExp, which is five times as fast as the RE2 that protovalidate brings. RE2 guards
 * against patterns that take exponential time; the patterns of the contract are our own and have no nested repetition.
 */
function createRegexMatch(): (pattern: string, text: string) => boolean {
  const patterns = new Map<string, RegExp>();
  return (pattern, text) => {
    const regexp = patterns.get(pattern) ?? new RegExp(pattern, "u");
    patterns.set(pattern, regexp);
    return regexp.test(text);
  };
}
