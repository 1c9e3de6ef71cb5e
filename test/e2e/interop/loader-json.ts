/**
 * Converts between the messages of @grpc/proto-loader and the JSON form of Protobuf. The loader shows timestamps,
 * durations and values as plain messages. The fields of a contract from files are in camel case; those of a contract by
 * reflection have their names in the files, and maps are lists of entries.
 */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** The source of the contract. */
export type Origin = "files" | "reflection";

type Convert = (value: JsonValue) => JsonValue;
type Converters = Readonly<Record<string, Convert>>;

const fromLoaderForm: Converters = {
  json: fromValue,
  byCategory: fromMap,
  ...forAll(["publishTime", "expireTime", "asOfTime"], (time) => new Date(fromSeconds(time) * 1000).toISOString()),
  ...forAll(["ttl", "heartbeatInterval", "reconnectAfter"], (duration) => `${fromSeconds(duration)}s`),
};

function toLoaderForm(origin: Origin): Converters {
  return {
    json: (value) => toValue(value, origin),
    ...forAll(["startTime", "endTime", "blockUntil"], (text) => toSeconds(Date.parse(String(text)) / 1000)),
    ttl: (text) => toSeconds(Number.parseFloat(String(text))),
  };
}

/** Converts the JSON form of a message to the form of the loader. */
export function toLoader(json: JsonValue, origin: Origin): JsonObject {
  return convert(json, toLoaderForm(origin)) as JsonObject;
}

/** Converts a message of the loader to its JSON form. */
export function fromLoader(message: JsonValue): JsonObject {
  return convert(message, fromLoaderForm) as JsonObject;
}

/** Copies a message, and converts the fields with these names. */
function convert(value: JsonValue, converters: Converters): JsonValue {
  if (Array.isArray(value)) return value.map((item) => convert(item, converters));
  if (typeof value !== "object" || value === null) return value;
  const field = (name: string): Convert => converters[camel(name)] ?? ((inner) => convert(inner, converters));
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, field(name)(inner)]));
}

function forAll(names: readonly string[], convert: Convert): Converters {
  return Object.fromEntries(names.map((name) => [name, convert]));
}

function camel(name: string): string {
  return name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

function toSeconds(seconds: number): JsonObject {
  return { seconds: String(Math.floor(seconds)), nanos: Math.round((seconds % 1) * 1e9) };
}

function fromSeconds(message: JsonValue): number {
  const { seconds = "0", nanos = 0 } = message as { seconds?: string; nanos?: number };
  return Number(seconds) + nanos / 1e9;
}

function fromMap(map: JsonValue): JsonObject {
  if (!Array.isArray(map)) return map as JsonObject;
  const entries = map as { key?: string; value?: JsonValue }[];
  return Object.fromEntries(entries.map(({ key = "", value = null }) => [key, value]));
}

/** Converts to a google.protobuf.Value. */
function toValue(json: JsonValue, origin: Origin): JsonObject {
  const named = (name: string, value: JsonValue) => ({ [origin === "files" ? camel(name) : name]: value });
  if (json === null) return named("null_value", "NULL_VALUE");
  if (typeof json === "string") return named("string_value", json);
  if (typeof json === "number") return named("number_value", json);
  if (typeof json === "boolean") return named("bool_value", json);
  if (Array.isArray(json)) return named("list_value", { values: json.map((item) => toValue(item, origin)) });
  const entries = Object.entries(json).map(([key, value]) => ({ key, value: toValue(value, origin) }));
  return named("struct_value", { fields: origin === "files" ? fromMap(entries) : entries });
}

function fromValue(message: JsonValue): JsonValue {
  const [[name, value] = ["", null]] = Object.entries(message as JsonObject);
  const kind = camel(name);
  if (kind === "nullValue") return null;
  if (kind === "listValue") return ((value as { values?: JsonValue[] }).values ?? []).map(fromValue);
  if (kind !== "structValue") return value;
  const fields = Object.entries(fromMap((value as JsonObject).fields ?? {}));
  return Object.fromEntries(fields.map(([key, inner]) => [key, fromValue(inner)]));
}
