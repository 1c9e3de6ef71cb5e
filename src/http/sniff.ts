import type { Socket } from "node:net";

/** The first bytes of HTTP/2 with prior knowledge (RFC 9113 section 3.4). No HTTP/1.1 request begins with them. */
const preface = Buffer.from("PRI ");

/**
 * Calls `decide` once the first bytes of a connection show whether it speaks HTTP/2, and leaves these bytes in the
 * socket. They may arrive one at a time. A connection that has not sent enough of them within `timeoutMs` is cut, so
 * that idle connections cannot use up the sockets. One that ends before is closed at once: load balancers probe a port by
 * connecting and disconnecting.
 */
export function sniffHttp2(socket: Socket, timeoutMs: number, decide: (isHttp2: boolean) => void): void {
  let seen = Buffer.alloc(0);
  const cut = () => socket.destroy();
  // Not socket.setTimeout, which would stay set for the server that takes over.
  const late = setTimeout(cut, timeoutMs).unref();
  const stopTimer = () => clearTimeout(late);
  const look = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk) seen = Buffer.concat([seen, chunk]);
    const matches = seen.subarray(0, preface.length).equals(preface.subarray(0, seen.length));
    if (seen.length === 0 || (matches && seen.length < preface.length)) return void socket.once("readable", look);
    stopTimer();
    socket.removeListener("close", stopTimer).removeListener("end", cut);
    socket.unshift(seen);
    decide(matches);
  };
  socket.once("close", stopTimer);
  socket.once("end", cut);
  socket.once("readable", look);
}
