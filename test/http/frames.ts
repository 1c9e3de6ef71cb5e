/** Frames of HTTP/2, for peers that do what no library does. */
import { connect, type Socket } from "node:net";

/** Types of frames (RFC 9113 section 6). */
export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
/** Error codes (RFC 9113 section 7). */
export const errorCodes = { noError: 0, cancel: 8, enhanceYourCalm: 11 } as const;

/** A frame with its payload. */
export function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** The preface of a client, with empty settings. */
export const preface = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  frame(frameTypes.settings, 0, 0),
]);

/** The frame that opens a stream; without `isWhole`, a body follows. Header lines are literals without indexing. */
export function headers(stream: number, fields: Readonly<Record<string, string>>, isWhole = true): Buffer {
  const all = { ":method": "POST", ":scheme": "http", ":authority": "x", ":path": "/", ...fields };
  const lines = Object.entries(all).map(([name, value]) =>
    Buffer.concat([text(Buffer.from([0]), name), text(Buffer.alloc(0), value)]),
  );
  return frame(frameTypes.headers, isWhole ? 5 : 4, stream, Buffer.concat(lines));
}

/** A string of HPACK (RFC 7541 section 5.2), without Huffman coding. */
function text(before: Buffer, value: string): Buffer {
  const bytes = Buffer.from(value);
  const length: number[] = [];
  if (bytes.length < 127) length.push(bytes.length);
  else {
    length.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
    length.push(rest);
  }
  return Buffer.concat([before, Buffer.from(length), bytes]);
}

/** The frame that resets a stream. */
export function reset(stream: number, code: number = errorCodes.cancel): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code);
  return frame(frameTypes.reset, 0, stream, payload);
}

/** A frame that was received. */
export interface Received {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** A raw HTTP/2 connection. */
export interface RawConnection {
  readonly socket: Socket;
  readonly frames: Received[];
  /** Resolves when a frame that matches has arrived; rejects when the connection closes without one. */
  until(matches: (frame: Received) => boolean): Promise<Received>;
  /** Resolves when the connection has closed. */
  readonly closed: Promise<void>;
}

/** Opens a raw connection and sends the preface. */
export function connectRaw(port: number): RawConnection {
  const socket = connect(port, "127.0.0.1");
  const frames: Received[] = [];
  const waiting = new Set<() => void>();
  let pending = Buffer.alloc(0);
  let isClosed = false;
  const wake = () => {
    for (const look of [...waiting]) look();
  };
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 9 && pending.length >= 9 + pending.readUIntBE(0, 3)) {
      const end = 9 + pending.readUIntBE(0, 3);
      const [type = 0, flags = 0] = pending.subarray(3, 5);
      frames.push({ type, flags, stream: pending.readUInt32BE(5), payload: pending.subarray(9, end) });
      pending = pending.subarray(end);
    }
    wake();
  });
  const closed = new Promise<void>((resolve) =>
    socket.on("close", () => {
      isClosed = true;
      wake();
      resolve();
    }),
  );
  socket.write(preface);
  return {
    socket,
    frames,
    closed,
    until: (matches) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = frames.find(matches);
          if (!found && !isClosed) return;
          waiting.delete(look);
          if (found) resolve(found);
          else reject(new Error("the connection closed without the frame"));
        };
        waiting.add(look);
        look();
      }),
  };
}
