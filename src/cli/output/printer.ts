/** Writes results on stdout and troubles on stderr: colours for people only. */
import { styleText } from "node:util";
import type { Environment } from "../config/configuration.ts";
import type { Io, Output } from "../process/io.ts";

/** A colour or weight of util.styleText. */
export type Style = Parameters<typeof styleText>[0];

/** Prints for one process. */
export class Printer {
  readonly #io: Pick<Io, "stdout" | "stderr">;
  readonly #env: Environment;

  constructor(io: Pick<Io, "stdout" | "stderr">, env: Environment) {
    this.#io = io;
    this.#env = env;
  }

  /** One line on stdout. */
  line(text = ""): void {
    this.#io.stdout.write(`${text}\n`);
  }

  /** One JSON document on one line of stdout. */
  json(value: unknown): void {
    this.line(JSON.stringify(value));
  }

  /** One line on stderr, for the person at the terminal. */
  note(text: string): void {
    this.#io.stderr.write(`${text}\n`);
  }

  /** One error on stderr. */
  error(sentence: string): void {
    this.note(`${this.#style(this.#io.stderr, "red", "error:")} ${printable(sentence)}`);
  }

  /** Text for stdout in a style, if stdout is a terminal that is to have colours (https://no-color.org). */
  style(style: Style, text: string): string {
    return this.#style(this.#io.stdout, style, text);
  }

  #style(output: Output, style: Style, text: string): string {
    const colours = output.isTTY === true && !this.#env.NO_COLOR && this.#env.TERM !== "dumb";
    return colours ? styleText(style, text, { validateStream: false }) : text;
  }
}

/**
 * Text from elsewhere on one line, fit for a terminal: control characters, which could move the cursor, rename the window
 * or type commands, and characters that reverse the reading direction become visible escapes.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, (character) => {
    if (character === "\n") return "\\n";
    return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
}
