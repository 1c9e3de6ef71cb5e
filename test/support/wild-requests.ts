/** Arbitrary requests of any type, in both codecs at once: right, wrong, extreme, deep, wide and unknown. */
import { type DescField, type DescMessage, ScalarType, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { value } from "./drafts.ts";

/** One request. The two forms mean the same where JSON can say it. */
export interface WildRequest {
  readonly binary: Uint8Array<ArrayBuffer>;
  readonly json: string;
}

/** A field of a request. */
interface WildField {
  write(writer: BinaryWriter): void;
  readonly json: string;
}

const text = fc.oneof(
  fc.constantFrom("ann", "", "dm/ann/bob", "/a", "__proto__", "KIND_EVENT", "x".repeat(400)),
  fc.string({ unit: "binary", maxLength: 20 }),
);
const int = fc.constantFrom(0, 1, 2, 3, 4, 99, 1000, 2 ** 31 - 1, 2 ** 32 - 1);
const time = fc.tuple(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));

/** The JSON text of a value, with numbers that JSON.parse reads as Infinity. */
function textOf({ kind }: Value): string {
  switch (kind.case) {
    case "listValue":
      return `[${kind.value.values.map(textOf).join(",")}]`;
    case "structValue":
      return `{${Object.entries(kind.value.fields)
        .map(([key, inner]) => `${JSON.stringify(key)}:${textOf(inner)}`)
        .join(",")}}`;
    case "numberValue":
      return Number.isFinite(kind.value) ? JSON.stringify(kind.value) : kind.value < 0 ? "-1e400" : "1e400";
    case "stringValue":
    case "boolValue":
      return JSON.stringify(kind.value);
    default:
      return "null";
  }
}

function bytesField({ number }: DescField, bytes: Uint8Array, json: string): WildField {
  return { json, write: (writer) => writer.tag(number, WireType.LengthDelimited).bytes(bytes) };
}

function single(field: DescField, depth: number): fc.Arbitrary<WildField> {
  const inner = field.message;
  if (inner?.typeName === ValueSchema.typeName) {
    return value.map((json) => bytesField(field, toBinary(ValueSchema, json), textOf(json)));
  }
  if (inner?.typeName === "google.protobuf.Timestamp" || inner?.typeName === "google.protobuf.Duration") {
    return time.map(([seconds, nanos]) => {
      const writer = new BinaryWriter().tag(1, WireType.Varint).int64(seconds).tag(2, WireType.Varint).int32(nanos);
      const json = inner.typeName.endsWith("Duration") ? `"${seconds % 400_000_000n}s"` : '"2026-03-30T12:00:00Z"';
      return bytesField(field, writer.finish(), json);
    });
  }
  if (inner) return wildRequest(inner, depth + 1).map(({ binary, json }) => bytesField(field, binary, json));
  if (field.enum) {
    const write = (number: number) => (writer: BinaryWriter) =>
      void writer.tag(field.number, WireType.Varint).int32(number);
    return fc.constantFrom(0, 1, 2, 3, 4, -1, 99).map((number) => ({ json: String(number), write: write(number) }));
  }
  switch (field.scalar) {
    case ScalarType.STRING:
      return text.map((word) => bytesField(field, Buffer.from(word), JSON.stringify(word)));
    case ScalarType.BYTES:
      return fc
        .uint8Array()
        .map((bytes) => bytesField(field, bytes, JSON.stringify(Buffer.from(bytes).toString("base64"))));
    case ScalarType.BOOL:
      return fc.boolean().map((yes) => ({
        json: String(yes),
        write: (writer) => writer.tag(field.number, WireType.Varint).bool(yes),
      }));
    default:
      return int.map((number) => ({
        json: String(number),
        write: (writer) => writer.tag(field.number, WireType.Varint).uint32(number),
      }));
  }
}

function anyField(field: DescField, depth: number): fc.Arbitrary<WildField> {
  if (field.fieldKind !== "list") return single(field, depth);
  const items = fc.oneof(
    { arbitrary: fc.array(single(field, depth), { maxLength: 4 }), weight: 9 },
    // Wide: one item many times.
    {
      arbitrary: fc
        .tuple(single(field, depth), fc.integer({ min: 50, max: 1100 }))
        .map(([item, n]) => Array(n).fill(item) as WildField[]),
      weight: 1,
    },
  );
  return items.map((all) => ({
    json: `[${all.map(({ json }) => json).join(",")}]`,
    write: (writer) => {
      for (const item of all) item.write(writer);
    },
  }));
}

const unknown = fc.record({ number: fc.integer({ min: 100, max: 20_000 }), bytes: fc.uint8Array({ maxLength: 100 }) });

/** Requests of a type, with any of its fields, and now and then with one that it does not have. */
export function wildRequest(desc: DescMessage, depth = 0): fc.Arbitrary<WildRequest> {
  const fields = depth > 4 ? fc.constant([]) : fc.subarray([...desc.fields]);
  return fields
    .chain((chosen) => {
      // JSON refuses two fields of one oneof; Protobuf takes the last.
      const kept = chosen.filter(
        (field) => field.oneof === undefined || chosen.find(({ oneof }) => oneof === field.oneof) === field,
      );
      const all = kept.map((field) => anyField(field, depth).map((wild) => ({ name: field.jsonName, wild })));
      return fc.tuple(fc.tuple(...all), fc.option(unknown, { freq: 10, nil: undefined }));
    })
    .map(([all, extra]) => {
      const writer = new BinaryWriter();
      for (const { wild } of all) wild.write(writer);
      if (extra) writer.tag(extra.number, WireType.LengthDelimited).bytes(extra.bytes);
      const names = all.map(({ name, wild }) => `${JSON.stringify(name)}:${wild.json}`);
      if (extra) names.push(`"field${extra.number}":null`);
      return { binary: new Uint8Array(writer.finish()), json: `{${names.join(",")}}` };
    });
}
