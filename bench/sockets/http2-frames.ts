/** The part of HTTP/2 (RFC 9113) that a driver needs as a client. */

/** The types of frames that a driver handles (section 6). */
export const frameType = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
/** END_STREAM of DATA and HEADERS (sections 6.1 and 6.2). */
export const endStream = 0x1;
/** ACK of SETTINGS and PING (sections 6.5 and 6.7). */
export const ack = 0x1;
const endHeaders = 0x4;
/** The length of a frame header: length, type, flags and stream (section 4.1). */
export const frameHeaderLength = 9;
/** The largest flow-control window (section 6.9.1). No run fills it, so a driver never sends a WINDOW_UPDATE later. */
const window = 2 ** 31 - 1;
const initialWindow = 65_535;
const initialWindowSize = 4;

/** Encodes a frame. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(frameHeaderLength);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** The connection preface of a client (section 3.4), followed by the largest window for the connection. */
export function preface(): Buffer {
  const settings = Buffer.alloc(6);
  settings.writeUInt16BE(initialWindowSize, 0);
  settings.writeUInt32BE(window, 2);
  const increment = Buffer.alloc(4);
  increment.writeUInt32BE(window - initialWindow);
  return Buffer.concat([
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    frame(frameType.settings, 0, 0, settings),
    frame(frameType.windowUpdate, 0, 0, increment),
  ]);
}

/** Encodes a whole request: one HEADERS and one DATA frame. */
export function request(stream: number, headers: Readonly<Record<string, string>>, body: Uint8Array): Buffer {
  return Buffer.concat([
    frame(frameType.headers, endHeaders, stream, Buffer.concat(Object.entries(headers).map(literal))),
    frame(frameType.data, endStream, stream, body),
  ]);
}

/** A literal header field without indexing (RFC 7541 section 6.2.2), which needs no dynamic table on either side. */
function literal([name, value]: [string, string]): Buffer {
  return Buffer.concat([Buffer.of(0), text(name), text(value)]);
}

/** A string literal without Huffman coding, whose length has a prefix of 7 bits (RFC 7541 sections 5.1 and 5.2). */
function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const prefix = [127];
  let left = bytes.length - 127;
  for (; left >= 128; left >>>= 7) prefix.push((left & 127) | 128);
  return Buffer.concat([Buffer.from([...prefix, left]), bytes]);
}
