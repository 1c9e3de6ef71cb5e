/** Frames of WebSocket, written by hand. */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import type { Attacker } from "../attack.ts";
import { openTcp } from "./tcp.ts";

/** Opcodes (RFC 6455 section 5.2). */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/** Encodes a masked frame. `first` holds FIN, RSV1 and the opcode. */
export function webSocketFrame(first: number, payload: Buffer): Buffer {
  const mask = randomBytes(4);
  const masked = Buffer.from(payload);
  for (let index = 0; index < masked.length; index++) masked[index] = (masked[index] ?? 0) ^ (mask[index & 3] ?? 0);
  const header = Buffer.alloc(payload.length < 126 ? 2 : payload.length < 65_536 ? 4 : 10);
  header[0] = first;
  if (header.length === 2) header[1] = 0x80 | payload.length;
  else if (header.length === 4) {
    header[1] = 0x80 | 126;
    header.writeUInt16BE(payload.length, 2);
  } else {
    header[1] = 0x80 | 127;
    header.writeBigUInt64BE(BigInt(payload.length), 2);
  }
  return Buffer.concat([header, mask, masked]);
}

/** FIN and an opcode. */
export function final(opcode: number): number {
  return 0x80 | opcode;
}

/** Opens a WebSocket for JSON, with the given extensions. Resolves when the server has switched protocols. */
export async function openWebSocket(target: { readonly port: number }, extensions?: string): Promise<Socket> {
  const socket = openTcp(target);
  const lines = [
    "GET /ws HTTP/1.1",
    "Host: x",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
    "Sec-WebSocket-Protocol: tidings.v1.json",
    ...(extensions === undefined ? [] : [`Sec-WebSocket-Extensions: ${extensions}`]),
  ];
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  await new Promise<void>((resolve, reject) => {
    socket.once("data", (data) => {
      const answer = data.toString("latin1");
      if (answer.startsWith("HTTP/1.1 101")) resolve();
      else reject(new Error(`no upgrade: ${answer.slice(0, 80)}`));
    });
    socket.once("close", () => reject(new Error("no upgrade: closed")));
  });
  return socket;
}

/** The code of a close frame with which these bytes end. */
function closeCode(tail: Buffer): number | undefined {
  for (let at = tail.length - 4; at >= 0; at--) {
    if (tail[at] === final(opcodes.close) && tail.length - at === 2 + (tail[at + 1] ?? 0))
      return tail.readUInt16BE(at + 2);
  }
  return undefined;
}

/** The longest close frame: two bytes of header, and a payload of 125 (RFC 6455 section 5.5). */
const maxCloseFrame = 127;

/**
 * Counts what becomes of a WebSocket: the code of the first close frame, `cut` without one, or `still open` when the attack
 * ends. Resolves then.
 */
export function webSocketOutcome({ answers, signal }: Attacker, socket: Socket): Promise<void> {
  let tail = Buffer.alloc(0);
  return new Promise((resolve) => {
    let settled = false;
    const settle = (what: string) => {
      if (settled) return;
      settled = true;
      signal.removeEventListener("abort", stop);
      answers.add(what);
      resolve();
    };
    const stop = () => settle("WebSocket still open");
    socket.on("data", (data) => {
      tail = Buffer.concat([tail, data]).subarray(-maxCloseFrame);
      const code = closeCode(tail);
      if (code !== undefined) settle(`WebSocket closed with ${code}`);
    });
    socket.once("close", () => settle("WebSocket cut"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
