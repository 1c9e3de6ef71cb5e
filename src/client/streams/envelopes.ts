/** Envelopes of the Connect protocol's streams: a byte of flags, four of length, the data. */
import { TidingsError } from "../tidings-error.ts";

/** One envelope. */
export interface Envelope {
  readonly flags: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** Flag of the last envelope, which holds JSON. */
export const endStreamFlag = 2;

const headerBytes = 5;

/** A longer one is the sign of something that is not a Tidings server. */
const mostBytes = 16 * 1024 * 1024;

/** Puts one message into an envelope. */
export function envelope(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(headerBytes + data.length);
  new DataView(bytes.buffer).setUint32(1, data.length);
  bytes.set(data, headerBytes);
  return bytes;
}

/** Takes a body apart, however it was cut in pieces on its way. Leaving the loop gives the body up. */
export async function* envelopes(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Envelope, void> {
  const reader = body.getReader();
  let rest = new Uint8Array();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest = rest.length === 0 ? value : joined(rest, value);
      for (let taken = first(rest); taken !== undefined; taken = first(rest)) {
        rest = rest.subarray(headerBytes + taken.data.length);
        yield taken;
      }
    }
  } finally {
    // Already failed or aborted: then there is nothing to give up.
    reader.cancel().catch(() => {});
  }
}

function first(bytes: Uint8Array<ArrayBuffer>): Envelope | undefined {
  if (bytes.length < headerBytes) return undefined;
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  if (size > mostBytes) throw new TidingsError("internal", `an envelope of ${size} bytes`);
  if (bytes.length < headerBytes + size) return undefined;
  return { flags: bytes[0] ?? 0, data: bytes.subarray(headerBytes, headerBytes + size) };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}
