import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** Headers of the upgrade itself, which mean nothing without it. */
const upgradeHeaders = /^(upgrade|http2-settings)$/i;

/** Reports whether a request asks for a WebSocket, rather than for another protocol such as HTTP/2 (`h2c`). */
export function isWebSocketRequest({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === "websocket";
}

/**
 * Puts a request that Node has raised as an upgrade back into its socket, without the wish for another protocol, which a
 * server may ignore (RFC 9110 section 7.8). `serve` is then to give the socket to an HTTP server, which answers as usual.
 * Node itself would cut the connection, and with it every call of clients that always offer h2c, such as Java's.
 *
 * Waits for the responses to earlier, pipelined requests: the server that takes the socket anew does not know of them, and
 * would never be able to respond.
 */
export function declineUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, serve: () => void): void {
  whenAnswered(socket, () => {
    putBack(request, socket, head);
    serve();
  });
}

function ignore(): void {}

function whenAnswered(socket: Duplex, call: () => void): void {
  // The response that Node writes to the socket now; the next one follows when it has closed.
  const { _httpMessage: earlier } = socket as { readonly _httpMessage?: ServerResponse | null };
  if (!earlier) {
    call();
    return;
  }
  // Node has removed its own listener, and without one, an error of a connection that breaks now would end the process.
  socket.on("error", ignore);
  earlier.once("close", () => {
    socket.off("error", ignore);
    if (!socket.destroyed) whenAnswered(socket, call);
  });
}

function putBack(request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const { method, url, httpVersion, rawHeaders } = request;
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    const value = rawHeaders[index + 1] as string;
    if (upgradeHeaders.test(name)) continue;
    text += name.toLowerCase() === "connection" ? connectionLine(value) : `${name}: ${value}\r\n`;
  }
  // Node decodes headers as Latin-1. `head` has what followed them: the body, or the part of it that has arrived.
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, "latin1"), head]));
}

function connectionLine(value: string): string {
  const kept = value.split(",").filter((option) => !upgradeHeaders.test(option.trim()));
  return kept.length > 0 ? `Connection: ${kept.join(",")}\r\n` : "";
}
