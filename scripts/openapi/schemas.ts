/**
 * JSON Schemas (draft 2020-12, as OpenAPI 3.1 has them) of the messages of the contract, in the canonical JSON of Protobuf:
 * names in lowerCamelCase, enums by name, 64-bit integers as strings, bytes as base64. Servers take further spellings, such
 * as `user_id`, numbers of enums and `null`, which would make every type of a generated client a union.
 */
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescOneof,
  type FileRegistry,
  getOption,
  isFieldSet,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import {
  EnumRulesSchema,
  type FieldRules,
  field as fieldRules,
  Int32RulesSchema,
  message as messageRules,
  oneof as oneofRules,
  RepeatedRulesSchema,
  StringRulesSchema,
  UInt32RulesSchema,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { type Commented, commentOf } from "./comments.ts";

/** A JSON Schema, or another object of OpenAPI. */
export type Schema = Readonly<Record<string, unknown>>;

/** On streams, messages of this type leave out the fields that have their default. */
const sparse = "tidings.v1.Message";

/** The schemas of all messages that the methods of some services use. */
export class Schemas {
  readonly #requests = new Set<DescMessage>();
  readonly #responses = new Set<DescMessage>();
  /** The types whose fields may be left out of responses. */
  readonly #sparse = new Set<DescMessage>();
  readonly #enums = new Set<DescEnum>();
  /** Enums whose value 0 some request may have. */
  readonly #zeros = new Set<DescEnum>();
  readonly #jsonNames: ReadonlyMap<string, string>;

  /** `registry` has the rules of the contract; predefined patterns are native ones. */
  constructor(registry: FileRegistry, inputs: readonly DescMessage[], outputs: readonly DescMessage[]) {
    const messages = [...registry].filter((type) => type.kind === "message" && type.typeName.startsWith("tidings."));
    const fields = messages.flatMap((type) => (type as DescMessage).fields);
    this.#jsonNames = new Map(fields.map(({ name, jsonName }) => [name, jsonName]));
    for (const input of inputs) this.#walk(input, this.#requests);
    for (const output of outputs) this.#walk(output, this.#responses);
    const message = registry.getMessage(sparse);
    if (message) this.#walk(message, this.#sparse);
    for (const type of this.#requests) for (const field of type.fields) this.#noteZero(field);
  }

  /** Refers to the schema of a message. */
  ref(desc: DescMessage | DescEnum): Schema {
    return { $ref: `#/components/schemas/${nameOf(desc)}` };
  }

  /** The schemas by name, in alphabetical order. */
  all(): Readonly<Record<string, Schema>> {
    const messages = [...new Set([...this.#requests, ...this.#responses])];
    const entries = [
      ...messages.map((desc) => [nameOf(desc), this.#message(desc)] as const),
      ...[...this.#enums].map((desc) => [nameOf(desc), this.#enum(desc)] as const),
    ];
    return Object.fromEntries(entries.sort(([one], [other]) => (one < other ? -1 : 1)));
  }

  /** The comment of a part of the contract as one line, with the names of fields as JSON spells them. */
  describe(desc: Commented): string {
    return commentOf(desc)
      .replaceAll("\n", " ")
      .replace(/\b[a-z]+(?:_[a-z]+)+\b/g, (name) => this.#jsonNames.get(name) ?? name);
  }

  #walk(desc: DescMessage, seen: Set<DescMessage>): void {
    if (seen.has(desc) || isWellKnown(desc)) return;
    seen.add(desc);
    for (const field of desc.fields) {
      if (field.enum) this.#enums.add(field.enum);
      if (field.message) this.#walk(field.message, seen);
    }
  }

  #noteZero(field: DescField): void {
    if (!field.enum) return;
    const { type } = getOption(field, fieldRules);
    const rules = type.case === "repeated" ? type.value.items?.type : type;
    if (rules?.case !== "enum" || !rules.value.notIn.includes(0)) this.#zeros.add(field.enum);
  }

  #enum(desc: DescEnum): Schema {
    const isSent = [...this.#requests].some(({ fields }) => fields.some((field) => field.enum === desc));
    const values = desc.values.filter(({ number }) => number !== 0 || !isSent || this.#zeros.has(desc));
    const list = values.map((value) => `- \`${value.name}\`: ${this.describe(value)}`);
    return {
      type: "string",
      description: `${this.describe(desc)}\n\n${list.join("\n")}`,
      enum: values.map(({ name }) => name),
    };
  }

  #message(desc: DescMessage): Schema {
    const description = this.describe(desc);
    // A server refuses names that it does not know, and a newer one may answer with further fields.
    const closed = this.#responses.has(desc) ? {} : { additionalProperties: false };
    const [only] = desc.oneofs;
    if (only && only.fields.length === desc.fields.length) {
      return { description, oneOf: only.fields.map((field) => this.#alternative(desc, field, closed)) };
    }
    const required = desc.fields.filter((field) => this.#isRequired(desc, field)).map(({ jsonName }) => jsonName);
    const conditions = [...desc.oneofs.flatMap(exclusions), ...conditionsOf(desc)];
    return {
      type: "object",
      description,
      properties: Object.fromEntries(desc.fields.map((field) => [field.jsonName, this.#property(field)])),
      ...(required.length > 0 ? { required } : {}),
      ...closed,
      // Within allOf, where generators that do not know such conditions pass over them.
      ...(conditions.length > 0 ? { allOf: conditions } : {}),
    };
  }

  /** The form of a message that has one field of its oneof and nothing else. */
  #alternative(desc: DescMessage, field: DescField, closed: Schema): Schema {
    const { jsonName } = field;
    const title = `${nameOf(desc)}${jsonName[0]?.toUpperCase()}${jsonName.slice(1)}`;
    return {
      title,
      type: "object",
      properties: { [jsonName]: this.#property(field) },
      required: [jsonName],
      ...closed,
    };
  }

  #isRequired(desc: DescMessage, field: DescField): boolean {
    const isImplicit = field.presence === FeatureSet_FieldPresence.IMPLICIT;
    // Responses write out zeros and empty lists.
    if (!this.#requests.has(desc)) return isImplicit && !this.#sparse.has(desc);
    const rules = getOption(field, fieldRules);
    return rules.required || (isImplicit && refusesZero(rules));
  }

  #property(field: DescField): Schema {
    return { ...this.#type(field), description: this.describe(field) };
  }

  #type(field: DescField): Schema {
    const rules = getOption(field, fieldRules);
    switch (field.fieldKind) {
      case "list":
        return this.#list(field, rules);
      case "map":
        return { type: "object", additionalProperties: scalar(field.scalar as ScalarType, undefined) };
      case "message":
        return this.#nested(field.message);
      case "enum":
        return this.ref(field.enum);
      case "scalar":
        return scalar(field.scalar, rules);
    }
  }

  #list(field: DescField & { fieldKind: "list" }, { type }: FieldRules): Schema {
    const rules = type.case === "repeated" ? type.value : undefined;
    const items =
      field.listKind === "message"
        ? this.#nested(field.message)
        : field.listKind === "enum"
          ? this.ref(field.enum)
          : scalar(field.scalar, rules?.items);
    return {
      type: "array",
      items,
      ...(rules && isFieldSet(rules, RepeatedRulesSchema.field.minItems) ? { minItems: Number(rules.minItems) } : {}),
      ...(rules && isFieldSet(rules, RepeatedRulesSchema.field.maxItems) ? { maxItems: Number(rules.maxItems) } : {}),
    };
  }

  #nested(desc: DescMessage): Schema {
    return wellKnown[desc.typeName] ?? this.ref(desc);
  }
}

/** The name of a schema, such as `RoomStateStatus` for a type within another. */
function nameOf({ typeName }: DescMessage | DescEnum): string {
  return typeName.slice("tidings.v1.".length).replaceAll(".", "");
}

/** The JSON of types that have one of their own. Source: https://protobuf.dev/programming-guides/json */
const wellKnown: Readonly<Record<string, Schema>> = {
  "google.protobuf.Timestamp": {
    type: "string",
    format: "date-time",
    pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$",
    examples: ["2026-03-30T12:00:00Z"],
  },
  // In seconds. JSON Schema's format `duration` is another one, of ISO 8601.
  "google.protobuf.Duration": { type: "string", pattern: "^[0-9]{1,12}(\\.[0-9]{1,9})?s$", examples: ["3600s"] },
  "google.protobuf.Value": {},
};

function isWellKnown({ typeName }: DescMessage): boolean {
  return typeName.startsWith("google.protobuf.");
}

function scalar(type: ScalarType, rules: FieldRules | undefined): Schema {
  switch (type) {
    case ScalarType.STRING:
      return { type: "string", ...(rules?.type.case === "string" ? textRules(rules.type.value) : {}) };
    case ScalarType.BYTES:
      return { type: "string", contentEncoding: "base64", pattern: "^[A-Za-z0-9+/_-]*={0,2}$" };
    case ScalarType.BOOL:
      return { type: "boolean", ...(rules?.type.case === "bool" ? { const: rules.type.value.const } : {}) };
    case ScalarType.INT32: {
      const range = { minimum: -(2 ** 31), maximum: 2 ** 31 - 1 };
      return { type: "integer", format: "int32", ...range, ...numberRules(Int32RulesSchema, rules) };
    }
    case ScalarType.UINT32:
      return { type: "integer", minimum: 0, maximum: 2 ** 32 - 1, ...numberRules(UInt32RulesSchema, rules) };
    case ScalarType.UINT64:
      return { type: "string", pattern: "^[0-9]{1,20}$", examples: ["7"] };
    default:
      throw new Error(`no schema for the scalar type ${ScalarType[type]}; add one`);
  }
}

function textRules(
  rules: Message & { readonly minLen: bigint; readonly maxLen: bigint; readonly pattern: string },
): Schema {
  const { minLen, maxLen, pattern } = StringRulesSchema.field;
  return {
    ...(isFieldSet(rules, minLen) ? { minLength: Number(rules.minLen) } : {}),
    ...(isFieldSet(rules, maxLen) ? { maxLength: Number(rules.maxLen) } : {}),
    ...(isFieldSet(rules, pattern) ? { pattern: rules.pattern } : {}),
  };
}

function numberRules(schema: DescMessage, rules: FieldRules | undefined): Schema {
  if (rules?.type.case !== "int32" && rules?.type.case !== "uint32") return {};
  const { greaterThan, lessThan } = rules.type.value;
  if (greaterThan.case === "gt" || lessThan.case === "lt") throw new Error(`no schema for gt and lt of ${schema.name}`);
  return {
    ...(greaterThan.case === "gte" ? { minimum: greaterThan.value } : {}),
    ...(lessThan.case === "lte" ? { maximum: lessThan.value } : {}),
  };
}

/** Reports whether the rules refuse a field that is not set, and so has the value zero. */
function refusesZero({ type }: FieldRules): boolean {
  switch (type.case) {
    case "string":
      return type.value.minLen > 0n;
    case "repeated":
      return type.value.minItems > 0n;
    case "enum":
      return isFieldSet(type.value, EnumRulesSchema.field.notIn) && type.value.notIn.includes(0);
    default:
      return false;
  }
}

/** At most one field of a oneof may be set. */
function exclusions({ fields }: DescOneof): Schema[] {
  return fields.flatMap(({ jsonName }, index) =>
    fields.slice(index + 1).map((other) => ({ not: { required: [jsonName, other.jsonName] } })),
  );
}

/** The rules of whole messages, by their expression in CEL. */
const messageConditions: Readonly<Record<string, Schema>> = {
  "!this.replace || this.request_id != ''": {
    anyOf: [
      { properties: { replace: { const: false } } },
      { properties: { requestId: { minLength: 1 } }, required: ["requestId"] },
    ],
  },
  "has(this.ids) || has(this.all) || has(this.oldest) || size(this.categories) > 0": {
    anyOf: [
      { required: ["ids"] },
      { required: ["all"] },
      { required: ["oldest"] },
      { properties: { categories: { minItems: 1 } }, required: ["categories"] },
    ],
  },
  "has(this.ids) || this.category != '' || this.batch_id != '' || this.expired_only": {
    anyOf: [
      { required: ["ids"] },
      { properties: { category: { minLength: 1 } }, required: ["category"] },
      { properties: { batchId: { minLength: 1 } }, required: ["batchId"] },
      { properties: { expiredOnly: { const: true } }, required: ["expiredOnly"] },
    ],
  },
};

/** The conditions of a message. Throws for a rule that has none here, so that no rule is forgotten. */
function conditionsOf(desc: DescMessage): Schema[] {
  const { cel, celExpression } = getOption(desc, messageRules);
  if (celExpression.length > 0 || desc.oneofs.some((oneof) => getOption(oneof, oneofRules).required)) {
    throw new Error(`no schema for a rule of ${desc.typeName}; add one`);
  }
  return cel.map(({ expression }) => {
    const condition = messageConditions[expression];
    if (!condition) throw new Error(`no schema for the rule ${expression} of ${desc.typeName}; add one`);
    return condition;
  });
}
