/** Writes results to stdout and errors to stderr, with colours only on a terminal. */
import { styleText } from "node:util";
import type { Environment } from "../config/source.ts";
import type { Io, Output } from "../process/io.ts";

/** A colour or weight of util.styleText. */
export type Style = Parameters<typeof styleText>[0];

/** Prints the output of one command. */
export class Printer {
  readonly #io: Pick<Io, "stdout" | "stderr">;
  readonly #env: Environment;
  /** A status stands on the last line of the terminal. */
  #hasStatus = false;

  constructor(io: Pick<Io, "stdout" | "stderr">, env: Environment) {
    this.#io = io;
    this.#env = env;
  }

  /** Prints one line on stdout. */
  line(text = ""): void {
    this.#clearStatus();
    this.#io.stdout.write(`${text}\n`);
  }

  /** Prints a value on stdout, as one line of JSON. */
  json(value: unknown): void {
    this.line(JSON.stringify(value));
  }

  /** Prints one line on stderr, for the person at the terminal. */
  note(text: string): void {
    this.#clearStatus();
    this.#io.stderr.write(`${text}\n`);
  }

  /** Prints an error on stderr. */
  error(sentence: string): void {
    this.note(`${this.#style(this.#io.stderr, "red", "error:")} ${printable(sentence)}`);
  }

  /**
   * Shows a text on the last line of the terminal, where the next one replaces it and other output pushes it away. Returns
   * false, and shows nothing, where stderr is no terminal or has no cursor to move.
   */
  status(text: string): boolean {
    if (this.#io.stderr.isTTY !== true || this.#env.TERM === "dumb") return false;
    this.#io.stderr.write(`\r${text}\u001b[K`);
    this.#hasStatus = true;
    return true;
  }

  #clearStatus(): void {
    if (!this.#hasStatus) return;
    this.#hasStatus = false;
    this.#io.stderr.write("\r\u001b[K");
  }

  /** Styles a text for stdout; returns it as it is when stdout is no terminal or colours are off (https://no-color.org). */
  style(style: Style, text: string): string {
    return this.#style(this.#io.stdout, style, text);
  }

  #style(output: Output, style: Style, text: string): string {
    const colours = output.isTTY === true && !this.#env.NO_COLOR && this.#env.TERM !== "dumb";
    return colours ? styleText(style, text, { validateStream: false }) : text;
  }
}

/**
 * Makes text from the network safe to print on one line of a terminal. Control characters, which could move the cursor,
 * rename the window or type commands, and characters that change the reading direction become visible escapes.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, (character) => {
    if (character === "\n") return "\\n";
    return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
}
