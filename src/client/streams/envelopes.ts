/** The envelopes of streams of the Connect protocol: one byte of flags, four bytes of length, and the data. */
import { errorFromJson } from "../calls/wire-error.ts";
import { TidingsError } from "../tidings-error.ts";

/** The flag of the last envelope, whose data is JSON. */
const endStreamFlag = 2;

const headerBytes = 5;

/** The limit of an envelope in bytes. A longer one does not come from a Tidings server. */
const maxBytes = 16 * 1024 * 1024;

/** The text of a message in JSON. */
export function textOf(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

/** The envelope of one message. */
export function envelope(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(headerBytes + data.length);
  new DataView(bytes.buffer).setUint32(1, data.length);
  bytes.set(data, headerBytes);
  return bytes;
}

/**
 * The messages of a stream's body, however the network cut it into chunks. Leaving the loop cancels the body. Throws
 * the error with which the stream ended, as a TidingsError; after a stream that was cut, the loop just ends.
 */
export async function* messagesOf(body: ReadableStream<Uint8Array<ArrayBuffer>> | null): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader();
  let rest = new Uint8Array();
  try {
    for (;;) {
      const read = await reader?.read();
      if (!read?.value) return;
      rest = joined(rest, read.value);
      while (rest.length >= headerBytes) {
        const end = headerBytes + new DataView(rest.buffer, rest.byteOffset).getUint32(1);
        const [flags = 0] = rest;
        // Compressed, although the request accepts no compression, or longer than a Tidings server sends.
        if (flags & ~endStreamFlag || end > maxBytes)
          throw new TidingsError("internal", "the stream has a malformed envelope");
        if (rest.length < end) break;
        const data = rest.subarray(headerBytes, end);
        rest = rest.subarray(end);
        if (flags === endStreamFlag) {
          const error = errorFromJson(JSON.parse(textOf(data)).error);
          if (error) throw error;
          return;
        }
        yield data;
      }
    }
  } finally {
    // Fails if the body has failed or was aborted already; then there is nothing to cancel.
    reader?.cancel().catch(() => {});
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}
