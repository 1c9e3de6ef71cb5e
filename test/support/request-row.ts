import type { DescMessage, JsonObject } from "@bufbuild/protobuf";

/** A rule of a field, with a request that breaks it, its error, and a request that keeps it. */
export interface Row {
  /** The name of the field, such as `Draft.title`. */
  readonly field: string;
  readonly schema: DescMessage;
  readonly bad: JsonObject;
  /** The path of the field in the error. */
  readonly path: string;
  /** The sentence of the error. */
  readonly sentence: string;
  readonly good: JsonObject;
}

/** The sentence for control characters. */
export const control = "must not contain control characters";
/** The sentence for an empty required field. */
export const empty = "must not be empty";
/** The sentence for unknown kinds. */
export const kinds = "must be one of KIND_NOTIFICATION, KIND_ACTIVITY, KIND_EVENT";
/** The sentence for URLs. */
export const url = "must be an https, http or relative URL";
/** The sentence for too many characters. */
export const atMost = (count: number): string => `must have at most ${count} characters`;
/** The sentence for too many items. */
export const items = (count: number): string => `must have at most ${count} items`;
/** A text of this many characters. */
export const x = (count: number): string => "x".repeat(count);
/** This many different texts. */
export const xs = (count: number): string[] => Array.from({ length: count }, (_, index) => `x${index}`);

/** A PublishRequest with these fields of its message. */
export const draft = (message: JsonObject): JsonObject => ({
  audience: { userId: "u" },
  message: { kind: "KIND_EVENT", ...message },
});
/** A PublishRequest with these fields. */
export const publish = (rest: JsonObject): JsonObject => ({ ...draft({}), ...rest });
/** A SubscribeRequest with a position in a feed. */
export const position = (feed: string): JsonObject => ({ positions: [{ feed }] });

/** Makes a row. */
export function row(
  field: string,
  schema: DescMessage,
  bad: JsonObject,
  path: string,
  sentence: string,
  good: JsonObject,
): Row {
  return { field, schema, bad, path, sentence, good };
}

/**
 * Makes the rows of an id or a name: of its length, and of control characters. `request` puts a value into a request.
 */
export function text(
  field: string,
  schema: DescMessage,
  most: number,
  path: string,
  request: (value: string) => JsonObject,
): Row[] {
  return [
    row(field, schema, request(x(most + 1)), path, atMost(most), request(x(most))),
    // The limit counts code points, not UTF-16 code units.
    row(field, schema, request("😀".repeat(most + 1)), path, atMost(most), request("😀".repeat(most))),
    row(field, schema, request("a\nb"), path, control, request("a b ü 漢")),
    row(field, schema, request("\u007f"), path, control, request("~")),
  ];
}

/** Makes the rows of `text`, and that of an empty value. */
export function id(
  field: string,
  schema: DescMessage,
  path: string,
  request: (value: string) => JsonObject,
  most = 128,
): Row[] {
  return [...text(field, schema, most, path, request), row(field, schema, request(""), path, empty, request("a"))];
}
