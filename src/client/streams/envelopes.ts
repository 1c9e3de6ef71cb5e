/** The envelopes of streams of the Connect protocol: one byte of flags, four bytes of length, and the data. */
import { TidingsError } from "../tidings-error.ts";

/** One envelope. */
export interface Envelope {
  readonly flags: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** The flag of the last envelope, whose data is JSON. */
export const endStreamFlag = 2;

const headerBytes = 5;

/** The limit of an envelope in bytes. A longer one does not come from a Tidings server. */
const maxBytes = 16 * 1024 * 1024;

/** The envelope of one message. */
export function envelope(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(headerBytes + data.length);
  new DataView(bytes.buffer).setUint32(1, data.length);
  bytes.set(data, headerBytes);
  return bytes;
}

/** Splits a body into envelopes, however the network cut it into chunks. Leaving the loop cancels the body. */
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
    // Fails if the body has failed or was aborted already; then there is nothing to cancel.
    reader.cancel().catch(() => {});
  }
}

function first(bytes: Uint8Array<ArrayBuffer>): Envelope | undefined {
  if (bytes.length < headerBytes) return undefined;
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  if (size > maxBytes) throw new TidingsError("internal", `the stream has an envelope of ${size} bytes`);
  if (bytes.length < headerBytes + size) return undefined;
  return { flags: bytes[0] ?? 0, data: bytes.subarray(headerBytes, headerBytes + size) };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}
