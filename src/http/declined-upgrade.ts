import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

/** Headers of the upgrade itself, which mean nothing without it. */
const upgradeHeaders = /^(upgrade|http2-settings)$/i;

/** Reports whether a request asks for a WebSocket, rather than for another protocol such as HTTP/2 (`h2c`). */
export function isWebSocketRequest({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === "websocket";
}

/**
 * Puts a request that Node has raised as an upgrade back into its socket, without the wish for another protocol, which a
 * server may ignore (RFC 9110 section 7.8). Give the socket to an HTTP server afterwards, which then answers as usual.
 * Node itself would cut the connection, and with it every call of clients that always offer h2c, such as Java's.
 */
export function declineUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
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
