/** Requests in JSON: decoded strictly, with errors that name the field. */
import { type DescMessage, fromJsonString, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { type FieldViolation, fail } from "../errors.ts";
import { jsonViolation, pathWhere } from "./json-error.ts";

/** Refuses bytes that are not UTF-8, as Protobuf does, instead of replacing characters. */
const utf8 = new TextDecoder("utf-8", { fatal: true });
/** Shorter runs of digits are integers that a double holds exactly. */
const longDigits = /\d{16}/;
/** An integer with more digits is infinite as a double. */
const maxDigits = 309;

/** The text of requests of one type. Connect decodes them in two steps, between which it keeps nothing for errors. */
export class RequestJson<Desc extends DescMessage> {
  readonly #desc: Desc;
  readonly #ignoreUnknownFields: boolean;
  /** The text of the request that is being decoded. */
  #text: string | undefined;

  /** `ignoreUnknownFields`: lets names through that the contract does not know, for clients that are newer than the server. */
  constructor(desc: Desc, ignoreUnknownFields: boolean) {
    this.#desc = desc;
    this.#ignoreUnknownFields = ignoreUnknownFields;
  }

  /**
   * Returns the text of a request: the first step. Throws a TypeError for bytes that are not UTF-8, and FIELD_INVALID for an
   * integer that a double cannot hold, since readers would get another one.
   */
  decode(data: Uint8Array): string {
    this.#text = undefined;
    const text = utf8.decode(data);
    if (longDigits.test(text)) this.#checkIntegers(text);
    this.#text = text;
    return text;
  }

  /** Decodes a request in one go. Throws FIELD_INVALID as `decode`, and BODY_INVALID, with the field that is at fault. */
  parse(data: Uint8Array): MessageShape<Desc> {
    const text = this.decode(data);
    try {
      return fromJsonString(this.#desc, text, { ignoreUnknownFields: this.#ignoreUnknownFields });
    } catch (error) {
      const violation = this.violation((error as Error).message);
      if (!violation) throw error;
      throw fail("BODY_INVALID", violation.description, { field: violation.field });
    } finally {
      this.forget();
    }
  }

  /** The text is no longer needed: the second step has succeeded. */
  forget(): void {
    this.#text = undefined;
  }

  /**
   * Returns the field at fault, where the second step failed with this message. Of requests that are decoded at the same
   * time, only one that fails with the same message can stand for another.
   */
  violation(message: string): FieldViolation | undefined {
    const text = this.#text;
    this.forget();
    if (text === undefined || this.#failure(text) !== message) return undefined;
    try {
      return jsonViolation(this.#desc, JSON.parse(text) as JsonValue, this.#ignoreUnknownFields);
    } catch {
      // No JSON, or nested too deeply to look at: no field is to blame.
      return undefined;
    }
  }

  #failure(text: string): string | undefined {
    try {
      fromJsonString(this.#desc, text, { ignoreUnknownFields: this.#ignoreUnknownFields });
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  #checkIntegers(text: string): void {
    const inexact: string[] = [];
    const marker = {};
    const mark = (_key: string, value: unknown, context?: { readonly source?: string }) => {
      const source = context?.source;
      if (typeof value !== "number" || source === undefined || isExact(source, value)) return value;
      inexact.push(source);
      return marker;
    };
    let json: unknown;
    try {
      json = JSON.parse(text, mark as (key: string, value: unknown) => unknown);
    } catch {
      // The second step refuses it.
      return;
    }
    const [first] = inexact;
    if (first === undefined) return;
    const field = pathWhere(this.#desc, json, (value) => value === marker) ?? "";
    const shown = first.length > 40 ? `${first.slice(0, 40)}…` : first;
    throw fail("FIELD_INVALID", `has the integer ${shown}, which a double cannot hold; send it as a string`, {
      ...(field === "" ? {} : { field }),
    });
  }
}

/** Whether a number literal is no integer, or one that keeps its value. */
function isExact(source: string, value: number): boolean {
  if (Number.isSafeInteger(value) || !/^-?\d+$/.test(source)) return true;
  return source.length <= maxDigits && BigInt(source) === BigInt(value);
}
