/**
 * @grpc/proto-loader shows timestamps, durations and values as plain messages, and in contracts that it has by reflection
 * maps as lists of entries; here they become their JSON form, and back.
 */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

type Convert = (value: JsonValue) => JsonValue;
/** How the loader shows maps. */
export type Maps = "objects" | "entries";

const timestamps = ["publish_time", "expire_time", "as_of_time", "start_time", "end_time"];
const durations = ["ttl", "heartbeat_interval", "reconnect_after"];

const toJsonForm = new Map<string, Convert>([
  ["json", fromValue],
  ["by_category", fromMap],
  ...timestamps.map((name) => [name, (time: JsonValue) => new Date(fromSeconds(time) * 1000).toISOString()] as const),
  ...durations.map((name) => [name, (duration: JsonValue) => `${fromSeconds(duration)}s`] as const),
]);

function toLoaderForm(maps: Maps): Map<string, Convert> {
  return new Map<string, Convert>([
    ["json", (value) => toValue(value, maps)],
    ...timestamps.map((name) => [name, (text: JsonValue) => toSeconds(Date.parse(String(text)) / 1000)] as const),
    ...durations.map((name) => [name, (text: JsonValue) => toSeconds(Number.parseFloat(String(text)))] as const),
  ]);
}

/** A message of the contract from its JSON form, with the names of the contract. */
export function toLoader(json: JsonValue, maps: Maps): JsonObject {
  return convert(json, toLoaderForm(maps)) as JsonObject;
}

/** The JSON form of a message of the contract. */
export function fromLoader(message: JsonValue): JsonObject {
  return convert(message, toJsonForm) as JsonObject;
}

/** Copies a message, with the fields of these names converted. */
function convert(value: JsonValue, converters: ReadonlyMap<string, Convert>): JsonValue {
  if (Array.isArray(value)) return value.map((item) => convert(item, converters));
  if (typeof value !== "object" || value === null) return value;
  const field = (name: string): Convert => converters.get(name) ?? ((inner) => convert(inner, converters));
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, field(name)(inner)]));
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

/** A google.protobuf.Value. */
function toValue(json: JsonValue, maps: Maps): JsonObject {
  if (json === null) return { null_value: "NULL_VALUE" };
  if (typeof json === "string") return { string_value: json };
  if (typeof json === "number") return { number_value: json };
  if (typeof json === "boolean") return { bool_value: json };
  if (Array.isArray(json)) return { list_value: { values: json.map((item) => toValue(item, maps)) } };
  const entries = Object.entries(json).map(([key, value]) => ({ key, value: toValue(value, maps) }));
  return { struct_value: { fields: maps === "entries" ? entries : fromMap(entries) } };
}

function fromValue(message: JsonValue): JsonValue {
  const [kind, value] = Object.entries(message as JsonObject)[0] ?? [];
  if (kind === "null_value") return null;
  if (kind === "list_value") return ((value as { values?: JsonValue[] }).values ?? []).map(fromValue);
  if (kind !== "struct_value") return value as JsonValue;
  const fields = fromMap((value as JsonObject).fields ?? {});
  return Object.fromEntries(Object.entries(fields).map(([name, inner]) => [name, fromValue(inner)]));
}
