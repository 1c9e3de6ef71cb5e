/**
 * Splits the output of Redis into whole answers and messages, in RESP2 or RESP3
 * (https://redis.io/docs/latest/develop/reference/protocol-spec/).
 */
export class RespFrames {
  #rest: Buffer = Buffer.alloc(0);

  /** Takes more bytes. Returns the frames that are whole now, in order. */
  take(chunk: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Buffer[] = [];
    for (let end = endOf(this.#rest, 0); end !== undefined; end = endOf(this.#rest, 0)) {
      frames.push(this.#rest.subarray(0, end));
      this.#rest = this.#rest.subarray(end);
    }
    return frames;
  }
}

/** Returns the channel of a published message, or undefined for any other frame. */
export function channelOf(frame: Buffer): string | undefined {
  const [first = "", , kind, , channel] = frame.toString("latin1", 0, 300).split("\r\n");
  return (first.startsWith("*") || first.startsWith(">")) && kind === "message" ? channel : undefined;
}

/** Returns the end of the value that starts at `at`, or undefined when it is not whole. */
function endOf(bytes: Buffer, at: number): number | undefined {
  const lineEnd = bytes.indexOf("\r\n", at);
  if (lineEnd === -1) return undefined;
  const type = String.fromCharCode(bytes[at] as number);
  const count = Number(bytes.toString("latin1", at + 1, lineEnd));
  const body = lineEnd + 2;
  if ("$=!".includes(type)) {
    const end = count < 0 ? body : body + count + 2;
    return end <= bytes.length ? end : undefined;
  }
  if (!"*>~%".includes(type)) return body;
  const parts = type === "%" ? 2 * count : count;
  let end: number | undefined = body;
  for (let part = 0; part < parts && end !== undefined; part++) end = endOf(bytes, end);
  return end;
}
