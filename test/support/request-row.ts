import type { DescMessage, JsonObject } from "@bufbuild/protobuf";

/** One rule of a field: a request that breaks it, what is answered, and one that keeps it. */
export interface Row {
  /** Such as `Draft.title`. */
  readonly field: string;
  readonly schema: DescMessage;
  readonly bad: JsonObject;
  readonly path: string;
  readonly says: string;
  readonly good: JsonObject;
}

/** Of control characters. */
export const control = "must not contain control characters";
/** Of what is required. */
export const empty = "must not be empty";
/** Of kinds. */
export const kinds = "must be one of KIND_NOTIFICATION, KIND_ACTIVITY, KIND_EVENT";
/** Of links. */
export const url = "must be an https, http or relative URL";
/** Of characters. */
export const atMost = (count: number): string => `must have at most ${count} characters`;
/** Of lists. */
export const items = (count: number): string => `must have at most ${count} items`;
/** So many characters. */
export const x = (count: number): string => "x".repeat(count);
/** So many different texts. */
export const xs = (count: number): string[] => Array.from({ length: count }, (_, index) => `x${index}`);

/** A PublishRequest with such a message. */
export const draft = (message: JsonObject): JsonObject => ({
  audience: { userId: "u" },
  message: { kind: "KIND_EVENT", ...message },
});
/** A PublishRequest with more. */
export const publish = (rest: JsonObject): JsonObject => ({ ...draft({}), ...rest });
/** A place in a feed. */
export const position = (feed: string): JsonObject => ({ positions: [{ feed }] });

/** A row. */
export function row(
  field: string,
  schema: DescMessage,
  bad: JsonObject,
  path: string,
  says: string,
  good: JsonObject,
): Row {
  return { field, schema, bad, path, says, good };
}

/** The two rules of an id or a name in the given place of a request: its length, and no control characters. */
export function text(
  field: string,
  schema: DescMessage,
  most: number,
  path: string,
  place: (value: string) => JsonObject,
): Row[] {
  return [
    row(field, schema, place(x(most + 1)), path, atMost(most), place(x(most))),
    // Characters are counted, not UTF-16 units.
    row(field, schema, place("😀".repeat(most + 1)), path, atMost(most), place("😀".repeat(most))),
    row(field, schema, place("a\nb"), path, control, place("a b ü 漢")),
    row(field, schema, place("\u007f"), path, control, place("~")),
  ];
}

/** As text, and required. */
export function id(
  field: string,
  schema: DescMessage,
  path: string,
  place: (value: string) => JsonObject,
  most = 128,
): Row[] {
  return [...text(field, schema, most, path, place), row(field, schema, place(""), path, empty, place("a"))];
}
