/** Cuts what a Redis says into whole answers and messages (RESP 2 and 3, https://redis.io/docs/latest/develop/reference/protocol-spec/). */
export class RespFrames {
  #rest: Buffer = Buffer.alloc(0);

  /** What is whole after these bytes, in order. */
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

/** The channel of a published message; undefined for any other frame. */
export function channelOf(frame: Buffer): string | undefined {
  const [begin = "", , kind, , channel] = frame.toString("latin1", 0, 300).split("\r\n");
  return (begin.startsWith("*") || begin.startsWith(">")) && kind === "message" ? channel : undefined;
}

/** Where the value that begins at a place ends; undefined when it is not whole. */
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
