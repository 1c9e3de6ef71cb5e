/** Splits input into lines without ever holding more than one chunk and one line of it. */

/** The longest line in bytes: several times the largest request that a server takes. A longer one is skipped. */
export const maxLineBytes = 4 * 1024 * 1024;

/** One line of the input. */
export interface Line {
  /** Its number, from 1. */
  readonly number: number;
  /** Its bytes without the line break (LF or CRLF); undefined when they are more than maxLineBytes. */
  readonly bytes: Uint8Array | undefined;
  /** Whether a line break ends it. Without one, the input may have been cut within the line. */
  readonly isWhole: boolean;
  /** The number of bytes of the input up to its end, line break included. */
  readonly end: number;
}

const lineFeed = 10;
const carriageReturn = 13;
const nothing = new Uint8Array();

/**
 * Reads lines: those that a chunk of the input completes, together. So a line that arrives alone does not wait for others.
 * Throws an Error for input in UTF-16, which PowerShell writes, because all of its lines would be refused one by one.
 */
export async function* readLines(input: AsyncIterable<Uint8Array>): AsyncGenerator<readonly Line[]> {
  const open = new OpenLine();
  for await (const chunk of input) {
    const lines: Line[] = [];
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      lines.push(open.close(chunk.subarray(start, end), true));
      start = end + 1;
    }
    open.add(chunk.subarray(start));
    if (lines.length > 0) yield lines;
  }
  if (!open.isEmpty) yield [open.close(nothing, false)];
}

/** The line that has begun. */
class OpenLine {
  #parts: Uint8Array[] = [];
  /** The bytes of this line so far, those dropped included. */
  #bytes = 0;
  #number = 1;
  /** The bytes of the lines before it. */
  #before = 0;

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  add(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#bytes += part.length;
    if (this.#bytes > maxLineBytes) this.#parts = [];
    else this.#parts.push(part);
  }

  close(last: Uint8Array, isWhole: boolean): Line {
    this.add(last);
    const isLong = this.#bytes > maxLineBytes;
    const joined = this.#parts.length === 1 ? (this.#parts[0] as Uint8Array) : Buffer.concat(this.#parts);
    const bytes = this.#number === 1 ? withoutMark(joined) : joined;
    const end = this.#before + this.#bytes + (isWhole ? 1 : 0);
    const line = { number: this.#number, bytes: isLong ? undefined : withoutReturn(bytes), isWhole, end };
    this.#parts = [];
    this.#bytes = 0;
    this.#number += 1;
    this.#before = end;
    return line;
  }
}

/** The start of an input without the byte order mark of UTF-8. Throws an Error for that of UTF-16. */
function withoutMark(bytes: Uint8Array): Uint8Array {
  const [a, b, c] = bytes;
  if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff))
    throw new Error("the input is UTF-16; save it as UTF-8");
  return a === 0xef && b === 0xbb && c === 0xbf ? bytes.subarray(3) : bytes;
}

function withoutReturn(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === carriageReturn ? bytes.subarray(0, -1) : bytes;
}
