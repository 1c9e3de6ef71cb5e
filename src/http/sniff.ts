import type { Socket } from "node:net";

/** The first bytes of HTTP/2 with prior knowledge (RFC 9113 section 3.4); no method of HTTP/1.1 begins so. */
const preface = Buffer.from("PRI ");

/**
 * Looks at the first bytes of a connection, however few come at once, without taking them. A connection that says too
 * little for `timeoutMs` is cut: it would occupy a socket for nothing.
 */
export function sniffHttp2(socket: Socket, timeoutMs: number, decide: (isHttp2: boolean) => void): void {
  let seen = Buffer.alloc(0);
  // Not the socket's own timeout, which would stay with it.
  const late = setTimeout(() => socket.destroy(), timeoutMs).unref();
  const leave = () => clearTimeout(late);
  const look = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk) seen = Buffer.concat([seen, chunk]);
    const matches = seen.subarray(0, preface.length).equals(preface.subarray(0, seen.length));
    if (seen.length === 0 || (matches && seen.length < preface.length)) return void socket.once("readable", look);
    leave();
    socket.removeListener("close", leave);
    socket.unshift(seen);
    decide(matches);
  };
  socket.once("close", leave);
  socket.once("readable", look);
}
