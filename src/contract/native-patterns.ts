/**
 * Turns the predefined rules of the contract (tidings/validate/v1/rules.proto) into the standard rule `pattern`.
 * protovalidate runs `pattern` natively, but runs a predefined rule, and with it all other rules of the same field, in
 * CEL: a typical PublishRequest would take three times as long to check, and one for 100 users 17 times as long.
 */
import {
  clearExtension,
  clone,
  create,
  createFileRegistry,
  type DescExtension,
  type FileRegistry,
  getExtension,
  getOption,
  hasExtension,
  hasOption,
  setExtension,
} from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type FieldDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import {
  type FieldRules,
  field as fieldRules,
  predefined,
  type StringRules,
  StringRulesSchema,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

/** Descriptors without predefined patterns, and the sentence for a text that does not match, by pattern. */
export interface NativePatterns {
  readonly registry: FileRegistry;
  readonly sentences: ReadonlyMap<string, string>;
}

/** A predefined rule whose only condition is that a text matches a pattern. */
interface PatternRule {
  readonly extension: DescExtension;
  readonly pattern: string;
  readonly sentence: string;
}

/** The expression of such a rule. Its pattern is a raw string of CEL, which needs no unescaping. */
const patternExpression = /^!rule \|\| this\.matches\(r'([^']*)'\)$/;

/** Copies the files in which a field has a predefined pattern. Rules of another form stay as they are, in CEL. */
export function toNativePatterns(registry: FileRegistry): NativePatterns {
  const rules = [...registry].flatMap((type) => (type.kind === "extension" ? toPatternRule(type) : []));
  const sentences = new Map(rules.map(({ pattern, sentence }) => [pattern, sentence]));
  if (rules.length === 0) return { registry, sentences };
  const file = [...registry.files].map(({ proto }) => {
    if (!fieldsOf(proto.messageType).some((field) => replacementIn(field, rules))) return proto;
    const copy = clone(FileDescriptorProtoSchema, proto);
    for (const field of fieldsOf(copy.messageType)) {
      const replacement = replacementIn(field, rules);
      if (field.options && replacement) setExtension(field.options, fieldRules, replacement);
    }
    return copy;
  });
  return { registry: createFileRegistry(create(FileDescriptorSetSchema, { file })), sentences };
}

function toPatternRule(extension: DescExtension): PatternRule[] {
  if (extension.extendee.typeName !== StringRulesSchema.typeName || !hasOption(extension, predefined)) return [];
  const [rule, ...others] = getOption(extension, predefined).cel;
  const pattern = patternExpression.exec(rule?.expression ?? "")?.[1];
  if (rule === undefined || pattern === undefined || others.length > 0) return [];
  return [{ extension, pattern, sentence: rule.message }];
}

function fieldsOf(messages: readonly DescriptorProto[]): FieldDescriptorProto[] {
  return messages.flatMap(({ field, nestedType }) => [...field, ...fieldsOf(nestedType)]);
}

/**
 * The rules of a field with `pattern` instead of a predefined pattern; `undefined` where there is nothing to replace.
 */
function replacementIn({ options }: FieldDescriptorProto, rules: readonly PatternRule[]): FieldRules | undefined {
  if (!options || !hasExtension(options, fieldRules)) return undefined;
  const replaced = getExtension(options, fieldRules);
  return stringRulesOf(replaced).some((each) => replacePattern(each, rules)) ? replaced : undefined;
}

/** The rules for the text of a field, or of its items. */
function stringRulesOf({ type }: FieldRules): StringRules[] {
  if (type.case === "string") return [type.value];
  return type.case === "repeated" && type.value.items ? stringRulesOf(type.value.items) : [];
}

/** Reports whether it replaced one. A field has at most one `pattern`: further ones stay in CEL. */
function replacePattern(strings: StringRules, rules: readonly PatternRule[]): boolean {
  const rule = rules.find(({ extension }) => hasExtension(strings, extension) && getExtension(strings, extension));
  if (rule === undefined || strings.pattern !== "") return false;
  clearExtension(strings, rule.extension);
  strings.pattern = rule.pattern;
  return true;
}
