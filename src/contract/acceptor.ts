/**
 * Recognises valid messages without protovalidate. The rules of a message type are compiled at the start into plain functions,
 * which take about a microsecond for a PublishRequest where the library takes fifty. An acceptor errs on one side only: the
 * library accepts every message that it accepts, and gets all others, to find and describe the violations.
 */
import {
  type DescField,
  type DescMessage,
  type DescOneof,
  getOption,
  isFieldSet,
  type Message,
} from "@bufbuild/protobuf";
import { type Duration, DurationSchema, FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import {
  type BoolRules,
  BoolRulesSchema,
  type DurationRules,
  DurationRulesSchema,
  type EnumRules,
  EnumRulesSchema,
  type FieldRules,
  FieldRulesSchema,
  field as fieldRules,
  Ignore,
  type Int32Rules,
  Int32RulesSchema,
  MessageRulesSchema,
  message as messageRules,
  oneof as oneofRules,
  type RepeatedRules,
  RepeatedRulesSchema,
  type StringRules,
  StringRulesSchema,
  type UInt32Rules,
  UInt32RulesSchema,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

/** Reports whether a value certainly obeys its rules. */
type Accepts<Value> = (value: Value) => boolean;

/** Reports whether a message certainly obeys every rule of its type. False says nothing. */
export type Acceptor = Accepts<Message>;

/** A rule that acceptors do not know. */
class UnknownRule extends Error {}

/** The rules of whole messages that acceptors know, by their expression in CEL. Fields have their names in TypeScript. */
const messageExpressions: Readonly<Record<string, Accepts<Record<string, unknown>>>> = {
  "!this.replace || this.request_id != ''": ({ replace, requestId }) => !replace || requestId !== "",
  "has(this.ids) || has(this.all) || has(this.oldest) || size(this.categories) > 0": ({ target, categories }) =>
    (target as { case?: string }).case !== undefined || (categories as unknown[]).length > 0,
  "has(this.ids) || this.category != '' || this.batch_id != '' || this.expired_only": (message) =>
    message.ids !== undefined || message.category !== "" || message.batchId !== "" || message.expiredOnly === true,
};

const anything = () => true;

/** Makes acceptors, and keeps them by type. */
export class Acceptors {
  readonly #known = new Map<DescMessage, Acceptor | undefined>();

  /** Returns the acceptor of a type; undefined if the type has a rule that acceptors do not know, or contains itself. */
  of(desc: DescMessage): Acceptor | undefined {
    if (!this.#known.has(desc)) {
      // Set before looking further down, so that a type which contains itself ends the search.
      this.#known.set(desc, undefined);
      this.#known.set(desc, hasRules(desc) ? this.#compile(desc) : anything);
    }
    return this.#known.get(desc);
  }

  #compile(desc: DescMessage): Acceptor | undefined {
    try {
      return all([
        ...wholeMessage(desc),
        ...desc.oneofs.filter((oneof) => getOption(oneof, oneofRules).required).map(isChosen),
        ...desc.fields.map((field) => this.#field(field)),
      ]) as Acceptor;
    } catch (error) {
      if (error instanceof UnknownRule) return undefined;
      throw error;
    }
  }

  #field(field: DescField): Accepts<Record<string, unknown>> {
    const rules = getOption(field, fieldRules);
    if (rules.ignore === Ignore.ALWAYS) return anything;
    checkKnown(FieldRulesSchema, rules, ["ignore", "required", rules.type.case]);
    if (rules.required && field.fieldKind !== "message") throw new UnknownRule();
    if (rules.ignore !== Ignore.UNSPECIFIED && field.presence !== FeatureSet_FieldPresence.IMPLICIT)
      throw new UnknownRule();
    const accepts = this.#content(field, rules);
    if (accepts === anything && !rules.required) return anything;
    const get = getter(field);
    const isUnset = rules.ignore === Ignore.IF_ZERO_VALUE ? isZero : isUndefined;
    return (message) => {
      const value = get(message);
      return isUnset(value) ? !rules.required : accepts(value);
    };
  }

  /** Returns the acceptor of the value of a field that is set. */
  #content(field: DescField, rules: FieldRules): Accepts<never> {
    switch (field.fieldKind) {
      case "message":
        return all([this.#nested(field.message), ofMessage(field.message, rules)]);
      case "list":
        return this.#list(field, rules);
      case "map":
        if (rules.type.case !== undefined || (field.mapKind === "message" && hasRules(field.message)))
          throw new UnknownRule();
        return anything;
      case "enum":
        return ofEnum(field.enum.value, rules);
      case "scalar":
        return ofScalar(rules);
    }
  }

  #list(field: DescField & { fieldKind: "list" }, { type }: FieldRules): Accepts<never> {
    if (type.case !== undefined && type.case !== "repeated") throw new UnknownRule();
    const rules: RepeatedRules | undefined = type.value;
    if (rules) checkKnown(RepeatedRulesSchema, rules, ["minItems", "maxItems", "items"]);
    const min = Number(rules?.minItems ?? 0);
    const max = rules && isFieldSet(rules, RepeatedRulesSchema.field.maxItems) ? Number(rules.maxItems) : Infinity;
    const item = this.#item(field, rules?.items);
    return (items: readonly never[]) => items.length >= min && items.length <= max && items.every((each) => item(each));
  }

  #item(field: DescField & { fieldKind: "list" }, rules: FieldRules | undefined): Accepts<never> {
    if (rules?.ignore === Ignore.ALWAYS) return anything;
    if (rules) checkKnown(FieldRulesSchema, rules, [rules.type.case]);
    if (field.listKind === "message") {
      if (rules) throw new UnknownRule();
      return this.#nested(field.message);
    }
    if (!rules) return anything;
    return field.listKind === "enum" ? ofEnum(field.enum.value, rules) : ofScalar(rules);
  }

  #nested(desc: DescMessage): Accepts<never> {
    const accepts = this.of(desc);
    if (!accepts) throw new UnknownRule();
    return accepts;
  }
}

/** Whether a type, or a type of its fields, has rules at all. */
function hasRules(desc: DescMessage, seen = new Set<DescMessage>()): boolean {
  if (seen.has(desc)) return false;
  seen.add(desc);
  if (desc.proto.options?.$unknown?.length || desc.oneofs.some(({ proto }) => proto.options?.$unknown?.length))
    return true;
  return desc.fields.some((field) => {
    const inner = field.fieldKind === "scalar" || field.fieldKind === "enum" ? undefined : field.message;
    return Boolean(field.proto.options?.$unknown?.length) || (inner !== undefined && hasRules(inner, seen));
  });
}

/** Throws UnknownRule if any other field of the rules is set, or an extension. Names are those of TypeScript. */
function checkKnown(schema: DescMessage, rules: Message, names: readonly (string | undefined)[]): void {
  const isKnown = schema.fields.every(
    (field) => !isFieldSet(rules as never, field) || names.includes(field.localName) || field.localName === "example",
  );
  if (!isKnown || rules.$unknown?.length) throw new UnknownRule();
}

function wholeMessage(desc: DescMessage): Accepts<Record<string, unknown>>[] {
  const rules = getOption(desc, messageRules);
  checkKnown(MessageRulesSchema, rules, ["cel"]);
  return rules.cel.map(({ expression }) => {
    const accepts = messageExpressions[expression];
    if (!accepts) throw new UnknownRule();
    return accepts;
  });
}

function isChosen({ localName }: DescOneof): Accepts<Record<string, unknown>> {
  return (message) => (message[localName] as { case?: string }).case !== undefined;
}

function getter({ localName, oneof }: DescField): (message: Record<string, unknown>) => never {
  if (!oneof) return (message) => message[localName] as never;
  return (message) => {
    const chosen = message[oneof.localName] as { case?: string; value?: unknown };
    return (chosen.case === localName ? chosen.value : undefined) as never;
  };
}

function ofScalar({ type }: FieldRules): Accepts<never> {
  switch (type.case) {
    case undefined:
      return anything;
    case "string":
      return ofString(type.value);
    case "bool":
      return ofBool(type.value);
    case "int32":
      return ofNumber(Int32RulesSchema, type.value);
    case "uint32":
      return ofNumber(UInt32RulesSchema, type.value);
    default:
      throw new UnknownRule();
  }
}

/** Rules count Unicode characters. A text has at most as many of them as its length in UTF-16, and at least half as many. */
function ofString(rules: StringRules): Accepts<string> {
  checkKnown(StringRulesSchema, rules, ["minLen", "maxLen", "pattern"]);
  const minLen = Number(rules.minLen);
  const min = minLen <= 1 ? minLen : 2 * minLen;
  const max = isFieldSet(rules, StringRulesSchema.field.maxLen) ? Number(rules.maxLen) : Infinity;
  const pattern = isFieldSet(rules, StringRulesSchema.field.pattern) ? new RegExp(rules.pattern, "u") : undefined;
  return (text) => text.length >= min && text.length <= max && (pattern === undefined || pattern.test(text));
}

function ofBool(rules: BoolRules): Accepts<boolean> {
  checkKnown(BoolRulesSchema, rules, ["const"]);
  return isFieldSet(rules, BoolRulesSchema.field.const) ? (value) => value === rules.const : anything;
}

function ofNumber(schema: DescMessage, rules: Int32Rules | UInt32Rules): Accepts<number> {
  const { greaterThan, lessThan } = rules;
  checkKnown(schema, rules, ["gte", "lte"]);
  const min = greaterThan.value ?? -Infinity;
  const max = lessThan.value ?? Infinity;
  // A range that ends before it begins stands for all numbers outside of it.
  if (min > max) throw new UnknownRule();
  return (value) => value >= min && value <= max;
}

function ofEnum(values: Readonly<Record<number, unknown>>, { type }: FieldRules): Accepts<number> {
  if (type.case === undefined) return anything;
  if (type.case !== "enum") throw new UnknownRule();
  const rules: EnumRules = type.value;
  checkKnown(EnumRulesSchema, rules, ["definedOnly", "notIn"]);
  const { definedOnly, notIn } = rules;
  return (value) => (!definedOnly || values[value] !== undefined) && !notIn.includes(value);
}

function ofMessage(desc: DescMessage, { type }: FieldRules): Accepts<never> {
  if (type.case === undefined) return anything;
  if (type.case !== "duration" || desc.typeName !== DurationSchema.typeName) throw new UnknownRule();
  return ofDuration(type.value);
}

function ofDuration(rules: DurationRules): Accepts<Duration> {
  checkKnown(DurationRulesSchema, rules, ["gt", "lte"]);
  const over = rules.greaterThan.value;
  const under = rules.lessThan.value;
  if (over && under && compareDurations(over, under) >= 0) throw new UnknownRule();
  return (duration) =>
    duration.nanos >= 0 &&
    duration.nanos < 1_000_000_000 &&
    (over === undefined || compareDurations(duration, over) > 0) &&
    (under === undefined || compareDurations(duration, under) <= 0);
}

/** Less than 0 if the first is shorter, greater than 0 if it is longer. Both have 0 to 999,999,999 nanoseconds. */
function compareDurations(one: Duration, other: Duration): number {
  return one.seconds === other.seconds ? one.nanos - other.nanos : one.seconds < other.seconds ? -1 : 1;
}

function all(accepts: readonly Accepts<never>[]): Accepts<never> {
  const checks = accepts.filter((each) => each !== anything);
  const [only, ...others] = checks;
  if (only === undefined) return anything;
  if (others.length === 0) return only;
  return (value) => {
    for (const check of checks) if (!check(value)) return false;
    return true;
  };
}

function isUndefined(value: unknown): boolean {
  return value === undefined;
}

function isZero(value: unknown): boolean {
  return value === undefined || value === "" || value === 0 || value === false;
}
