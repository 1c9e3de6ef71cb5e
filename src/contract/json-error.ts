/** Says what is wrong with a JSON request: the path of the field, and a sentence, where the decoder names a type at best. */
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonValue,
  ScalarType,
} from "@bufbuild/protobuf";
import type { FieldViolation } from "../errors.ts";
import { suggestion } from "../util/suggestion.ts";

/** Names of fields in sentences, so that a long key does not make a long error. */
const maxName = 64;

/**
 * Returns the first field of a JSON value that a message cannot be decoded from, or undefined where no field is at fault.
 * Names on the path are those of the contract (`audience.user_id`); an unknown name stands as it was sent.
 */
export function jsonViolation(
  desc: DescMessage,
  json: JsonValue,
  ignoreUnknownFields: boolean,
  path = "",
): FieldViolation | undefined {
  if (!isObject(json)) return path === "" ? undefined : { field: path, description: "must be an object" };
  const given = new Map<DescField, string>();
  for (const [key, value] of Object.entries(json)) {
    const field = fieldOf(desc, key);
    if (field === undefined) {
      if (ignoreUnknownFields) continue;
      return { field: join(path, key.slice(0, maxName)), description: unknownName(desc, key) };
    }
    const at = join(path, field.name);
    const twin = given.get(field);
    if (twin !== undefined) return { field: at, description: `is set twice, as ${twin} and as ${key}` };
    given.set(field, key);
    if (value === null && field.message?.typeName !== "google.protobuf.Value") continue;
    const rival = field.oneof?.fields.find((other) => other !== field && isSet(json, given.get(other)));
    if (rival) return { field: at, description: `leave it out, or ${rival.name}: only one of them can be set` };
    const violation = fieldViolation(field, value, at, ignoreUnknownFields);
    if (violation) return violation;
  }
  return undefined;
}

function isSet(json: Readonly<Record<string, JsonValue>>, key: string | undefined): boolean {
  return key !== undefined && json[key] !== null;
}

function fieldViolation(field: DescField, value: JsonValue, at: string, ignore: boolean): FieldViolation | undefined {
  if (field.fieldKind === "list") {
    if (!Array.isArray(value)) return { field: at, description: "must be a list" };
    for (const [index, item] of value.entries()) {
      const violation = itemViolation(field, item, `${at}[${index}]`, ignore, [item]);
      if (violation) return violation;
    }
    return undefined;
  }
  if (field.fieldKind === "map" && !isObject(value)) return { field: at, description: "must be an object" };
  return itemViolation(field, value, at, ignore, value);
}

/** `sent`: the value of the field with which the decoder can try the item by itself. */
function itemViolation(
  field: DescField,
  item: JsonValue,
  at: string,
  ignore: boolean,
  sent: JsonValue,
): FieldViolation | undefined {
  const inner = field.message;
  if (inner && field.fieldKind !== "map" && !inner.typeName.startsWith("google.protobuf.")) {
    return jsonViolation(inner, item, ignore, at);
  }
  try {
    fromJson(field.parent as DescMessage, { [field.jsonName]: sent }, { ignoreUnknownFields: ignore });
    return undefined;
  } catch {
    return { field: at, description: sentenceFor(field, item) };
  }
}

function sentenceFor(field: DescField, item: JsonValue): string {
  if (field.message) return messageSentences[field.message.typeName] ?? "must be an object";
  if (field.enum) return `must be one of ${namesOf(field.enum)}`;
  switch (field.scalar) {
    case ScalarType.STRING:
      return typeof item === "string" ? "must be Unicode, without half a surrogate pair" : "must be a string";
    case ScalarType.BOOL:
      return "must be true or false";
    case ScalarType.BYTES:
      return "must be a string of base64";
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return "must be a number";
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return "must be a whole number from 0 to 4294967295";
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return "must be a whole number of at least 0, written as a string";
    default:
      return "must be a whole number";
  }
}

const messageSentences: Readonly<Record<string, string>> = {
  "google.protobuf.Timestamp": 'must be a time such as "2026-03-30T12:00:00Z"',
  "google.protobuf.Duration": 'must be a duration in seconds such as "3600s"',
  "google.protobuf.Value": "has too many levels of lists and objects; send it flatter",
};

function namesOf({ values }: DescEnum): string {
  return values
    .filter(({ number }) => number !== 0)
    .map(({ name }) => name)
    .join(", ");
}

function unknownName(desc: DescMessage, key: string): string {
  const spelling = key.includes("_") ? "name" : "jsonName";
  const known = desc.fields.map((field) => field[spelling]);
  // The distance takes time that grows with the length of the name.
  const hint = key.length > maxName ? "" : suggestion(key, known);
  return `is not in the contract${hint === "" ? `; known names are ${known.join(", ")}` : hint}`;
}

function fieldOf(desc: DescMessage, key: string): DescField | undefined {
  return desc.fields.find(({ name, jsonName }) => name === key || jsonName === key);
}

/** Returns the path of the first field in which `test` finds something, as far as the contract knows the names. */
export function pathWhere(
  desc: DescMessage,
  json: unknown,
  test: (value: unknown) => boolean,
  path = "",
): string | undefined {
  if (!isObject(json)) return test(json) ? path : undefined;
  for (const [key, value] of Object.entries(json)) {
    const field = fieldOf(desc, key);
    const at = join(path, field?.name ?? key.slice(0, maxName));
    const inner = field?.message;
    const items = field?.fieldKind === "list" && Array.isArray(value) ? value : undefined;
    for (const [index, item] of (items ?? [value]).entries()) {
      const itemAt = items ? `${at}[${index}]` : at;
      const isOurs = inner && field.fieldKind !== "map" && !inner.typeName.startsWith("google.protobuf.");
      const found = isOurs ? pathWhere(inner, item, test, itemAt) : holds(item, test) ? itemAt : undefined;
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function holds(value: unknown, test: (value: unknown) => boolean): boolean {
  if (test(value)) return true;
  return typeof value === "object" && value !== null && Object.values(value).some((inner) => holds(inner, test));
}

function isObject<T>(value: T): value is T & Readonly<Record<string, JsonValue>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
