import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { createListener, type Listener, type ListenerOptions } from "../../src/http/listener.ts";

const cert = readFileSync(join(import.meta.dirname, "localhost.crt"));
/** Made for these tests; it opens nothing. */
const key = readFileSync(join(import.meta.dirname, "localhost.key"));
const patient = { headersMs: 5_000, requestMs: 5_000, idleMs: 5_000, stallMs: 5_000 };
const hasty = { headersMs: 150, requestMs: 200, idleMs: 150, stallMs: 5_000 };
const open: Listener[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close(0)));
});

/** A listener that answers with the HTTP version, once the body has come, and echoes WebSocket frames. */
async function listen(timeouts: ListenerOptions["timeouts"], tls?: ListenerOptions["tls"]) {
  const echo = new WebSocketServer({ noServer: true });
  const requests = new EventEmitter();
  const listener = createListener({
    onRequest: (request, response) => {
      requests.emit("request");
      request.resume().once("end", () => response.end(`HTTP/${request.httpVersion}`));
    },
    onUpgrade: (request, socket, head) =>
      echo.handleUpgrade(request, socket, head, (ws) => ws.on("message", (data) => ws.send(data))),
    timeouts,
    ...(tls ? { tls } : {}),
  });
  open.push(listener);
  return { listener, requests, ...(await listener.listen("127.0.0.1", 0)) };
}

/** What a raw connection receives until the server closes it. */
async function talk(port: number, speak: (socket: Socket) => unknown): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let heard = "";
  socket
    .setEncoding("latin1")
    .on("data", (data) => (heard += data))
    .on("error", () => {});
  speak(socket);
  await once(socket, "close");
  return heard;
}

async function http2Get(session: ClientHttp2Session): Promise<string> {
  const stream = session.request({ ":path": "/" });
  stream.setEncoding("utf8").end();
  let body = "";
  for await (const chunk of stream) body += chunk;
  return body;
}

const http1 = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

describe("one cleartext port", () => {
  test("speaks HTTP/1.1", async () => {
    const { port } = await listen(patient);
    expect(await talk(port, (socket) => socket.write(http1))).toMatch(/^HTTP\/1\.1 200 .*HTTP\/1\.1$/s);
  });

  test("speaks HTTP/2 with prior knowledge", async () => {
    const { url } = await listen(patient);
    const session = connectHttp2(url);
    expect(await http2Get(session)).toBe("HTTP/2.0");
    session.close();
  });

  test("speaks WebSocket", async () => {
    const { port } = await listen(patient);
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`);
    await once(socket, "open");
    socket.send("hello");
    const [data] = await once(socket, "message");
    expect(String(data)).toBe("hello");
    socket.close();
  });

  test.each([
    ["HTTP/1.1", http1, "HTTP/1.1 200"],
    ["HTTP/2", `${preface}\0\0\x04\x08\0\0\0\0\0\0\0\0\0`, "\0\0"],
  ])("tells %s however few bytes come at once", async (_, bytes, answer) => {
    const { port } = await listen(hasty);
    const heard = await talk(port, async (socket) => {
      socket.setNoDelay(true);
      for (const byte of bytes) {
        socket.write(byte, "latin1");
        await turn();
      }
    });
    expect(heard.startsWith(answer)).toBe(true);
  });

  test("answers garbage with 400", async () => {
    const { port } = await listen(patient);
    expect(await talk(port, (socket) => socket.write("\0\x01garbage\r\n\r\n"))).toMatch(/^HTTP\/1\.1 400/);
  });

  test("refuses headers over 16 KB with 431", async () => {
    const { port } = await listen(patient);
    expect(
      await talk(port, (socket) => socket.write(`GET / HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(20_000)}\r\n\r\n`)),
    ).toMatch(/^HTTP\/1\.1 431/);
  });
});

describe("TLS", () => {
  test("chooses HTTP/2 by ALPN", async () => {
    const { port } = await listen(patient, { key, cert });
    const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: cert });
    expect(await http2Get(session)).toBe("HTTP/2.0");
    session.close();
  });

  test("speaks HTTP/1.1 with who does not know HTTP/2", async () => {
    const { port } = await listen(patient, { key, cert });
    const request = httpsRequest({ port, host: "127.0.0.1", ca: cert, agent: false }).end();
    const [response] = await once(request, "response");
    let body = "";
    for await (const chunk of response) body += chunk;
    expect(body).toBe("HTTP/1.1");
  });

  test("speaks WebSocket", async () => {
    const { port } = await listen(patient, { key, cert });
    const socket = new WebSocket(`wss://127.0.0.1:${port}/ws`, { ca: cert });
    await once(socket, "open");
    socket.close();
    await once(socket, "close");
  });

  test("cuts who does not finish the handshake", async () => {
    const { port } = await listen(hasty, { key, cert });
    await talk(port, (socket) => socket.write("\x16\x03"));
  });
});

describe("timeouts, each of which would hang here if it were not enforced", () => {
  test.each([
    ["a silent connection", ""],
    ["half a preface", "PR"],
    ["HTTP/2 without a request", preface],
  ])("%s is cut", async (_, bytes) => {
    const { port } = await listen(hasty);
    await talk(port, (socket) => socket.write(bytes || "", "latin1"));
  });

  test("slow headers are answered with 408", async () => {
    const { port } = await listen(hasty);
    expect(await talk(port, (socket) => socket.write("GET / HTTP/1.1\r\nHost: x\r\n"))).toMatch(/^HTTP\/1\.1 408/);
  });

  test("a slow body of HTTP/1.1 is answered with 408", async () => {
    const { port } = await listen(hasty);
    const heard = await talk(port, (socket) =>
      socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"),
    );
    expect(heard).toMatch(/^HTTP\/1\.1 408/);
  });

  test("a slow body of HTTP/2 is reset, and the connection goes on", async () => {
    const { url } = await listen({ ...hasty, idleMs: 5_000 });
    const session = connectHttp2(url);
    const stream = session.request({ ":path": "/", ":method": "POST" });
    stream.on("error", () => {}).write("x");
    await once(stream, "close");
    expect(stream.rstCode).toBe(8);
    expect(await http2Get(session)).toBe("HTTP/2.0");
    session.close();
  });

  test("an idle connection of HTTP/1.1 is closed", async () => {
    const { port } = await listen(hasty);
    expect(await talk(port, (socket) => socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))).toMatch(/^HTTP\/1\.1 200/);
  });

  test("a connection of HTTP/2 that breaks the protocol right behind a request ends alone", async () => {
    const { port, url } = await listen(patient);
    const headers = "\0\0\t\x01\x04\0\0\0\x01\x83\x86\x84A\x04x:80";
    const dataOfNoStream = "\0\0\0\0\0\0\0\0\0";
    await talk(port, (socket) => socket.write(preface + headers + dataOfNoStream, "latin1"));
    const session = connectHttp2(url);
    expect(await http2Get(session)).toBe("HTTP/2.0");
    session.close();
  });

  test("an idle connection of HTTP/2 is closed", async () => {
    const { url } = await listen(hasty);
    const session = connectHttp2(url);
    await http2Get(session);
    await once(session, "close");
  });
});

describe("close", () => {
  test("lets a request under way finish, takes no new ones, and leaves nothing open", async () => {
    const { listener, port, requests } = await listen(patient);
    const answer = talk(port, async (socket) => {
      socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx");
      await once(requests, "request");
      const closed = listener.close(5_000);
      socket.write("y");
      await closed;
    });
    expect(await answer).toMatch(/^HTTP\/1\.1 200 /);
    await expect(once(connect(port, "127.0.0.1"), "connect")).rejects.toThrow("ECONNREFUSED");
  });

  test("cuts what does not finish in time", async () => {
    const { listener, port, requests } = await listen(patient);
    await talk(port, async (socket) => {
      socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n");
      await once(requests, "request");
      await listener.close(50);
    });
  });

  test("says which port is taken", async () => {
    const { port } = await listen(patient);
    const second = createListener({ onRequest: () => {}, onUpgrade: () => {}, timeouts: patient });
    await expect(second.listen("127.0.0.1", port)).rejects.toThrow("EADDRINUSE");
  });
});
