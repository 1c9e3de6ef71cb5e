/** Attacks that need no token: on connections, headers and frames. */
import { setTimeout as sleep } from "node:timers/promises";
import { frame, frameTypes } from "../../http/frames.ts";
import type { Attack, Attacker } from "../attack.ts";
import { size } from "../size.ts";
import { literal, openHttp2, preface, requestHeaders, resetRequest } from "../wire/http2.ts";
import { repeat, untilEnd } from "../wire/loops.ts";
import { openTcp, outcome } from "../wire/tcp.ts";
import { final, opcodes, openWebSocket, webSocketFrame, webSocketOutcome } from "../wire/web-socket.ts";

const listUnread = "/tidings.v1.PushService/ListUnread";
/** Requests of one connection before the attacker opens another one. */
const requestsPerConnection = 1_000;

/** Opens connections that send one byte of a request every 200 ms. */
async function sendSlowly(attacker: Attacker, connections: number, request: string): Promise<void> {
  const sockets = Array.from({ length: connections }, () => openTcp(attacker));
  const outcomes = sockets.map((socket) => outcome(attacker, socket));
  for (let at = 0; at < request.length && !attacker.signal.aborted; at++) {
    for (const socket of sockets) if (socket.writable) socket.write(request[at] ?? "");
    await sleep(200);
  }
  await Promise.all(outcomes);
}

/**
 * Writes the same bytes on one connection after another, and cuts each one 50 ms after its bytes are out. Opens at most
 * `most` connections.
 */
async function floodConnections(attacker: Attacker, bytes: Buffer, most = Number.POSITIVE_INFINITY): Promise<void> {
  let opened = 0;
  await repeat(attacker, 1, async () => {
    if (opened++ >= most) return untilEnd(attacker);
    const socket = openTcp(attacker);
    socket.resume();
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.write(bytes, () => setTimeout(() => socket.destroy(), 50));
    await closed;
    attacker.answers.add("connection opened");
  });
}

/** An HTTP/2 connection whose requests are reset at once. */
function resetRequests(): Buffer {
  const headers = requestHeaders(listUnread);
  const requests = Array.from({ length: requestsPerConnection }, (_, index) => resetRequest(2 * index + 1, headers));
  return Buffer.concat([preface, frame(frameTypes.settings, 0, 0), ...requests]);
}

/** Slowloris. */
export const slowHeaders: Attack = {
  name: "requests whose headers arrive byte by byte",
  flags: { "headers-timeout": "1s" },
  leastMs: 3_000,
  run: (attacker) =>
    sendSlowly(attacker, size(200, 1_000), `POST ${listUnread} HTTP/1.1\r\nHost: x\r\nX-A: ${"a".repeat(200)}`),
  must: ["status 408"],
  may: ["closed"],
};

/** The attacks of peers without a token. */
export const connectionAttacks: readonly Attack[] = [
  slowHeaders,
  {
    name: "TCP connections that say nothing, or go at once",
    flags: { "headers-timeout": "1s" },
    leastMs: 3_000,
    async run(attacker) {
      const silent = Array.from({ length: size(200, 1_000) }, () => outcome(attacker, openTcp(attacker)));
      await repeat(attacker, 4, async () => {
        const socket = openTcp(attacker);
        await new Promise<void>((resolve) => socket.once("connect", resolve).once("close", resolve));
        socket.destroy();
      });
      await Promise.all(silent);
    },
    must: ["closed"],
  },
  {
    name: "WebSockets whose first frame never comes",
    flags: { "headers-timeout": "1s" },
    leastMs: 3_000,
    async run(attacker) {
      const sockets = await Promise.all(Array.from({ length: size(50, 500) }, () => openWebSocket(attacker)));
      await Promise.all(sockets.map((socket) => webSocketOutcome(attacker, socket)));
    },
    must: ["WebSocket closed with 4016"],
  },
  {
    name: "HTTP/2 requests that are reset at once, on connection after connection",
    run: (attacker) => floodConnections(attacker, resetRequests()),
    must: ["connection opened"],
  },
  {
    name: "pipelined HTTP/1.1 requests without a token",
    run: (attacker) => {
      const request = `POST ${listUnread} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`;
      return floodConnections(attacker, Buffer.from(request.repeat(requestsPerConnection)));
    },
    must: ["connection opened"],
  },
  {
    name: "floods of HTTP/2 pings and settings",
    async run(attacker) {
      const ping = frame(frameTypes.ping, 0, 0, Buffer.alloc(8));
      const settings = frame(frameTypes.settings, 0, 0);
      const burst = Buffer.concat(Array.from({ length: 500 }, () => [ping, settings]).flat());
      await repeat(attacker, 4, async () => {
        const socket = openHttp2(attacker);
        // Answers that nobody reads pile up.
        socket.pause();
        const end = performance.now() + 1_000;
        while (!socket.closed && performance.now() < end) {
          if (socket.writableLength < burst.length) socket.write(burst);
          await sleep(2);
        }
        attacker.answers.add(socket.closed ? "HTTP/2 connection closed" : "HTTP/2 connection still open");
        socket.destroy();
      });
    },
    must: [],
    may: ["HTTP/2 connection closed", "HTTP/2 connection still open"],
  },
  {
    name: "headers over the limit, by HTTP/1.1 and by endless HTTP/2 CONTINUATION frames",
    async run(attacker) {
      await repeat(attacker, 4, async (loop) => {
        if (loop < 2) {
          const socket = openTcp(attacker);
          const done = outcome(attacker, socket);
          socket.write(`POST ${listUnread} HTTP/1.1\r\nHost: x\r\nX-A: ${"a".repeat(64 * 1024)}\r\n\r\n`);
          return done;
        }
        const socket = openHttp2(attacker);
        const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
        socket.resume();
        const part = Buffer.concat(Array.from({ length: 100 }, () => literal("x-a", "a".repeat(100))));
        socket.write(frame(frameTypes.headers, 0, 1, requestHeaders(listUnread)));
        for (let sent = 0; sent < 500 && socket.writable; sent++)
          socket.write(frame(frameTypes.continuation, 0, 1, part));
        await Promise.race([closed, untilEnd(attacker)]);
        attacker.answers.add(socket.closed ? "HTTP/2 connection closed" : "HTTP/2 connection still open");
        socket.destroy();
      });
    },
    must: ["status 431", "HTTP/2 connection closed"],
    may: ["closed", "still open", "HTTP/2 connection still open"],
  },
  {
    name: "WebSocket pings and fragments without end",
    flags: { "headers-timeout": "1s" },
    async run(attacker) {
      const pings = Buffer.concat(
        Array.from({ length: 500 }, () => webSocketFrame(final(opcodes.ping), Buffer.alloc(100))),
      );
      const piece = Buffer.concat(
        Array.from({ length: 64 }, () => webSocketFrame(opcodes.continuation, Buffer.alloc(1_024, 97))),
      );
      await repeat(attacker, 4, async (loop) => {
        const socket = await openWebSocket(attacker);
        const done = webSocketOutcome(attacker, socket);
        if (loop >= 2) socket.write(webSocketFrame(opcodes.text, Buffer.from("{")));
        while (socket.writable && !attacker.signal.aborted) {
          if (socket.writableLength < piece.length) socket.write(loop < 2 ? pings : piece);
          await sleep(2);
        }
        await done;
        socket.destroy();
      });
    },
    must: ["WebSocket closed with 1009"],
    may: ["WebSocket closed with 4016", "WebSocket cut", "WebSocket still open"],
  },
];

/** Few enough resets that a server without a limit on them is over them soon. */
export const someResets: Attack = {
  name: "resets on eight connections",
  run: (attacker) => floodConnections(attacker, resetRequests(), 8),
  must: ["connection opened"],
};
