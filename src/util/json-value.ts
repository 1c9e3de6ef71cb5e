/** JSON payloads: google.protobuf.Value, which Protobuf can carry in forms that its JSON cannot express. */
import type { Value } from "@bufbuild/protobuf/wkt";

/** Returns why a value has no JSON form, as a sentence that tells the publisher what to do; undefined for one that has. */
export function jsonFlaw({ kind }: Value): string | undefined {
  switch (kind.case) {
    case "numberValue":
      if (Number.isFinite(kind.value)) return undefined;
      return "has a number that is infinite or NaN, which JSON cannot express; send it as a string, or as null";
    case "stringValue":
      return textFlaw(kind.value);
    case "listValue":
      return firstFlaw(kind.value.values);
    case "structValue":
      for (const key in kind.value.fields) {
        const flaw = textFlaw(key) ?? jsonFlaw(kind.value.fields[key] as Value);
        if (flaw !== undefined) return flaw;
      }
      return undefined;
    case undefined:
      return "has a google.protobuf.Value without a kind; set one, such as null_value";
    default:
      return undefined;
  }
}

function firstFlaw(values: readonly Value[]): string | undefined {
  for (const value of values) {
    const flaw = jsonFlaw(value);
    if (flaw !== undefined) return flaw;
  }
  return undefined;
}

/** UTF-8 has no lone surrogates: encoders replace them, so that the receiver would read another text. */
function textFlaw(text: string): string | undefined {
  return text.isWellFormed() ? undefined : "has half a surrogate pair in a string or key; send well-formed Unicode";
}
