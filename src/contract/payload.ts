/** Finds JSON values and times in requests that have no JSON form. */
import { type DescField, type DescMessage, getOption, type Message } from "@bufbuild/protobuf";
import {
  type Duration,
  DurationSchema,
  type Timestamp,
  TimestampSchema,
  type Value,
  ValueSchema,
} from "@bufbuild/protobuf/wkt";
import { field as fieldRules, Ignore } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { fail } from "../errors.ts";
import { jsonFlaw } from "../util/json-value.ts";

/** Bounds of google.protobuf.Timestamp and Duration, from their .proto files. */
const maxDuration = 315_576_000_000n;
const maxNanos = 999_999_999;

/** Years beyond 9999 are let through: the largest Date of JavaScript is one, and stands for a time that never comes. */
function timestampFlaw({ nanos }: Timestamp): string | undefined {
  return nanos >= 0 && nanos <= maxNanos ? undefined : `must have 0 to ${maxNanos} nanoseconds`;
}

function durationFlaw({ seconds, nanos }: Duration): string | undefined {
  const isMixed = (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
  const isInRange = seconds >= -maxDuration && seconds <= maxDuration && Math.abs(nanos) <= maxNanos;
  return isInRange && !isMixed ? undefined : `must have at most ${maxNanos} nanoseconds, of the sign of its seconds`;
}

/** By type, what finds the flaw of a message, to follow the name of its field. */
const flawOf: ReadonlyMap<string, (message: Message) => string | undefined> = new Map([
  [ValueSchema.typeName, (message: Message) => jsonFlaw(message as Value)],
  [TimestampSchema.typeName, (message: Message) => timestampFlaw(message as Timestamp)],
  [DurationSchema.typeName, (message: Message) => durationFlaw(message as Duration)],
]);

/** A field in which a value or a time may be, directly or further down. */
interface Carrier {
  readonly field: DescField;
  readonly inner: DescMessage;
}

/**
 * Checks every google.protobuf.Value, Timestamp and Duration in messages of any type. Protobuf can carry those that JSON
 * cannot express: NaN, infinity, a value without a kind, a second of more than a billion nanoseconds. Stored, one of them
 * would fail in each JSON stream and list of its readers.
 */
export class PayloadCheck {
  /** By type. A type without any has no carriers, and costs one look-up. */
  readonly #carriers = new Map<DescMessage, readonly Carrier[]>();

  /** Throws FIELD_INVALID for the first such value. `path` is the path of the message, empty for a request. */
  check(desc: DescMessage, message: Message, path: string): void {
    for (const { field, inner } of this.#carriersOf(desc)) {
      const at = path === "" ? field.name : `${path}.${field.name}`;
      const value = contentOf(message, field);
      if (value === undefined) continue;
      if (field.fieldKind === "list") {
        for (const [index, item] of (value as readonly Message[]).entries()) {
          this.#checkOne(inner, item, `${at}[${index}]`);
        }
      } else if (field.fieldKind === "map") {
        for (const [key, item] of Object.entries(value as Record<string, Message>)) {
          this.#checkOne(inner, item, `${at}[${JSON.stringify(key)}]`);
        }
      } else this.#checkOne(inner, value as Message, at);
    }
  }

  #checkOne(desc: DescMessage, message: Message, path: string): void {
    const find = flawOf.get(desc.typeName);
    if (!find) {
      this.check(desc, message, path);
      return;
    }
    const flaw = find(message);
    if (flaw !== undefined) throw fail("FIELD_INVALID", flaw, { field: path });
  }

  #carriersOf(desc: DescMessage): readonly Carrier[] {
    const known = this.#carriers.get(desc);
    if (known) return known;
    // Register before looking further down, so that a type that contains itself ends the search.
    this.#carriers.set(desc, []);
    const carriers = desc.fields.flatMap((field) => {
      const inner = messageOf(field);
      return inner && !isIgnored(field) && this.#mayHold(inner) ? [{ field, inner }] : [];
    });
    this.#carriers.set(desc, carriers);
    return carriers;
  }

  #mayHold(desc: DescMessage): boolean {
    return flawOf.has(desc.typeName) || this.#carriersOf(desc).length > 0;
  }
}

function messageOf(field: DescField): DescMessage | undefined {
  if (field.fieldKind === "message") return field.message;
  const isMessages = (field.fieldKind === "list" && field.listKind === "message") || field.fieldKind === "map";
  return isMessages ? field.message : undefined;
}

/** The items of a batch are checked one by one, so that one of them does not refuse the others. */
function isIgnored(field: DescField): boolean {
  const { type } = getOption(field, fieldRules);
  return type.case === "repeated" && type.value.items?.ignore === Ignore.ALWAYS;
}

function contentOf(message: Message, field: DescField): unknown {
  const fields = message as unknown as Record<string, unknown>;
  if (!field.oneof) return fields[field.localName];
  const chosen = fields[field.oneof.localName] as { case?: string; value?: unknown } | undefined;
  return chosen?.case === field.localName ? chosen.value : undefined;
}
