import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTick } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { createListener, type Listener, type ListenerOptions } from "../../src/http/listener.ts";
import { openssl, selfSigned } from "../support/certificate.ts";
import { testWith } from "../support/require.ts";

const cert = readFileSync(join(import.meta.dirname, "localhost.crt"));
/** Generated for these tests; used nowhere else. */
const key = readFileSync(join(import.meta.dirname, "localhost.key"));
const longTimeouts = { headersMs: 5_000, requestMs: 5_000, idleMs: 5_000, stallMs: 5_000 };
const shortTimeouts = { headersMs: 150, requestMs: 200, idleMs: 150, stallMs: 5_000 };
const open: Listener[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close(0)));
});

/** Starts a listener that responds with the HTTP version, once the body has arrived, and echoes WebSocket frames. */
async function listen(timeouts: ListenerOptions["timeouts"], tls?: ListenerOptions["tls"]) {
  const echo = new WebSocketServer({ noServer: true });
  const requests = new EventEmitter();
  const listener = createListener({
    onRequest: (request, response) => {
      requests.emit("request");
      let size = 0;
      request.on("data", ({ length }) => (size += length));
      request.once("end", () => response.end(size === 0 ? `HTTP/${request.httpVersion}` : `${size} bytes`));
    },
    onUpgrade: (request, socket, head) => {
      if (request.headers.upgrade !== "websocket" || request.url !== "/ws") return false;
      echo.handleUpgrade(request, socket, head, (ws) => ws.on("message", (data) => ws.send(data)));
      return true;
    },
    timeouts,
    ...(tls ? { tls } : {}),
  });
  open.push(listener);
  return { listener, requests, ...(await listener.listen("127.0.0.1", 0)) };
}

/** Opens a raw connection and returns what it receives until the server closes it. */
async function talk(port: number, speak: (socket: Socket) => unknown): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let received = "";
  socket
    .setEncoding("latin1")
    .on("data", (data) => (received += data))
    .on("error", () => {});
  speak(socket);
  await once(socket, "close");
  return received;
}

/** Sends a request and closes its side once the answer ends with these bytes: waiting for the idle timeout takes a second. */
async function ask(port: number, sent: string, end: string): Promise<string> {
  let received = "";
  const close = (socket: Socket) =>
    socket.on("data", (data) => {
      received += data;
      if (received.endsWith(end)) socket.end();
    });
  return talk(port, (socket) => close(socket).write(sent));
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

describe("A cleartext port", () => {
  test("speaks HTTP/1.1", async () => {
    const { port } = await listen(longTimeouts);
    expect(await talk(port, (socket) => socket.write(http1))).toMatch(/^HTTP\/1\.1 200 .*HTTP\/1\.1$/s);
  });

  test("speaks HTTP/2 with prior knowledge", async () => {
    const { url } = await listen(longTimeouts);
    const session = connectHttp2(url);
    expect(await http2Get(session)).toBe("HTTP/2.0");
    session.close();
  });

  test("speaks WebSocket", async () => {
    const { port } = await listen(longTimeouts);
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
  ])("recognises %s even when the bytes arrive one at a time", async (_, bytes, answer) => {
    const { port } = await listen(shortTimeouts);
    const received = await talk(port, async (socket) => {
      socket.setNoDelay(true);
      for (const byte of bytes) {
        socket.write(byte, "latin1");
        await nextTick();
      }
    });
    expect(received.startsWith(answer)).toBe(true);
  });

  test("survives an HTTP/2 connection that breaks the protocol right after a request", async () => {
    const { port, url } = await listen(longTimeouts);
    const headers = "\0\0\t\x01\x04\0\0\0\x01\x83\x86\x84A\x04x:80";
    const dataWithoutStream = "\0\0\0\0\0\0\0\0\0";
    await talk(port, (socket) => socket.write(preface + headers + dataWithoutStream, "latin1"));
    const session = connectHttp2(url);
    expect(await http2Get(session)).toBe("HTTP/2.0");
    session.close();
  });

  test("responds to garbage with 400", async () => {
    const { port } = await listen(longTimeouts);
    expect(await talk(port, (socket) => socket.write("\0\x01garbage\r\n\r\n"))).toMatch(/^HTTP\/1\.1 400/);
  });

  test("refuses headers over 16 KB with 431", async () => {
    const { port } = await listen(longTimeouts);
    expect(
      await talk(port, (socket) => socket.write(`GET / HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(20_000)}\r\n\r\n`)),
    ).toMatch(/^HTTP\/1\.1 431/);
  });
});

describe("A request for an upgrade that the server does not take", () => {
  const h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n";

  test.each([
    ["h2c, as Java's client and curl send it", `GET / HTTP/1.1\r\nHost: x\r\n${h2c}\r\n`, "HTTP/1.1"],
    ["h2c with a body", `POST / HTTP/1.1\r\nHost: x\r\n${h2c}Content-Length: 5\r\n\r\nhello`, "5 bytes"],
    [
      "h2c with a body in chunks",
      `POST / HTTP/1.1\r\nHost: x\r\n${h2c}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\nyou\r\n0\r\n\r\n`,
      "5 bytes",
    ],
    [
      "a WebSocket elsewhere",
      "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
      "HTTP/1.1",
    ],
    ["TLS (RFC 2817)", "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n", "HTTP/1.1"],
  ])("is answered as a plain one: %s", async (_, request, body) => {
    const { port } = await listen(longTimeouts);
    const received = await ask(port, request, body);
    expect(received).toMatch(/^HTTP\/1\.1 200 /);
    expect(received.endsWith(`\r\n\r\n${body}`)).toBe(true);
  });

  test("leaves its connection open for the next requests", async () => {
    const { port, requests } = await listen(longTimeouts);
    const received = await talk(port, async (socket) => {
      for (let count = 0; count < 3; count++) {
        const answered = once(socket, "data");
        socket.write(`POST / HTTP/1.1\r\nHost: x\r\n${h2c}Content-Length: 100000\r\n\r\n`);
        await once(requests, "request");
        socket.write("x".repeat(100_000));
        await answered;
      }
      socket.end();
    });
    expect(received.match(/100000 bytes/g)).toHaveLength(3);
  });

  test("is answered in order behind and before other pipelined requests", async () => {
    const { port } = await listen(longTimeouts);
    const sent = (headers: string, body: string) =>
      `POST / HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
    const requests = ["", "", h2c, h2c, "", h2c].map((headers, index) => sent(headers, "x".repeat(index + 1)));
    const received = await ask(port, requests.join(""), "6 bytes");
    expect(received.match(/\d bytes/g)).toEqual([1, 2, 3, 4, 5, 6].map((bytes) => `${bytes} bytes`));
  });

  test("is answered when the client has closed its side", async () => {
    const { port } = await listen(longTimeouts);
    const request = `POST / HTTP/1.1\r\nHost: x\r\n${h2c}Content-Length: 2\r\n\r\nhi`;
    expect(await talk(port, (socket) => socket.end(request))).toContain("2 bytes");
  });

  test("is subject to the time limit of its body", async () => {
    const { port } = await listen(shortTimeouts);
    const request = `POST / HTTP/1.1\r\nHost: x\r\n${h2c}Content-Length: 9\r\n\r\nx`;
    expect(await talk(port, (socket) => socket.write(request))).toMatch(/^HTTP\/1\.1 408/);
  });

  test("is answered over TLS", async () => {
    const { port } = await listen(longTimeouts, { key, cert });
    const headers = { connection: "Upgrade, HTTP2-Settings", upgrade: "h2c", "http2-settings": "AAEA" };
    const request = httpsRequest({ port, host: "127.0.0.1", ca: cert, agent: false, headers, method: "POST" });
    request.end("hi");
    const [response] = await once(request, "response");
    expect(response.statusCode).toBe(200);
    response.resume();
  });
});

describe("A TLS port", () => {
  test("chooses HTTP/2 by ALPN", async () => {
    const { port } = await listen(longTimeouts, { key, cert });
    const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: cert });
    expect(await http2Get(session)).toBe("HTTP/2.0");
    session.close();
  });

  test("speaks HTTP/1.1 with a client that does not know HTTP/2", async () => {
    const { port } = await listen(longTimeouts, { key, cert });
    const request = httpsRequest({ port, host: "127.0.0.1", ca: cert, agent: false }).end();
    const [response] = await once(request, "response");
    let body = "";
    for await (const chunk of response) body += chunk;
    expect(body).toBe("HTTP/1.1");
  });

  test("speaks WebSocket", async () => {
    const { port } = await listen(longTimeouts, { key, cert });
    const socket = new WebSocket(`wss://127.0.0.1:${port}/ws`, { ca: cert });
    await once(socket, "open");
    socket.close();
    await once(socket, "close");
  });

  testWith(openssl)("gives new connections a new certificate, and keeps the open ones", async () => {
    const { listener, port } = await listen(longTimeouts, { key, cert });
    const before = connectHttp2(`https://127.0.0.1:${port}`, { ca: cert });
    expect(await http2Get(before)).toBe("HTTP/2.0");
    const fresh = await selfSigned();
    listener.renew(fresh);
    expect(await http2Get(before), "the open connection").toBe("HTTP/2.0");
    const after = connectHttp2(`https://127.0.0.1:${port}`, { ca: String(fresh.cert) });
    expect(await http2Get(after)).toBe("HTTP/2.0");
    const old = connectHttp2(`https://127.0.0.1:${port}`, { ca: cert });
    const [error] = (await once(old, "error")) as [Error];
    expect(error.message).toContain("self-signed");
    for (const session of [before, after]) session.close();
  });

  test("cuts a connection that does not finish the handshake", async () => {
    const { port } = await listen(shortTimeouts, { key, cert });
    await talk(port, (socket) => socket.write("\x16\x03"));
  });
});

describe("A probe that closes its connection", () => {
  test.each([
    ["without a byte", ""],
    ["after half a preface", "PR"],
  ])("%s is let go at once", async (_, bytes) => {
    const { port } = await listen({ ...longTimeouts, headersMs: 600_000, requestMs: 600_000 });
    await talk(port, (socket) => socket.end(bytes));
  });

  test("of TLS without a byte is let go at once", async () => {
    const { port } = await listen({ ...longTimeouts, headersMs: 600_000, requestMs: 600_000 }, { key, cert });
    await talk(port, (socket) => socket.end());
  });
});

describe("The timeouts of a listener", () => {
  test.each([
    ["a silent connection", ""],
    ["half a preface", "PR"],
    ["HTTP/2 without a request", preface],
  ])("cut %s", async (_, bytes) => {
    const { port } = await listen(shortTimeouts);
    await talk(port, (socket) => socket.write(bytes || "", "latin1"));
  });

  test("end slow headers with 408", async () => {
    const { port } = await listen(shortTimeouts);
    expect(await talk(port, (socket) => socket.write("GET / HTTP/1.1\r\nHost: x\r\n"))).toMatch(/^HTTP\/1\.1 408/);
  });

  test("end a slow body of HTTP/1.1 with 408", async () => {
    const { port } = await listen(shortTimeouts);
    const received = await talk(port, (socket) =>
      socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"),
    );
    expect(received).toMatch(/^HTTP\/1\.1 408/);
  });

  test("reset a slow body of HTTP/2 and leave its connection open", async () => {
    const { url } = await listen({ ...shortTimeouts, idleMs: 5_000 });
    const session = connectHttp2(url);
    const stream = session.request({ ":path": "/", ":method": "POST" });
    stream.on("error", () => {}).write("x");
    await once(stream, "close");
    expect(stream.rstCode).toBe(8);
    expect(await http2Get(session)).toBe("HTTP/2.0");
    session.close();
  });

  test("close an idle connection of HTTP/1.1", async () => {
    const { port } = await listen(shortTimeouts);
    expect(await talk(port, (socket) => socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))).toMatch(/^HTTP\/1\.1 200/);
  });

  test("close an idle connection of HTTP/2", async () => {
    const { url } = await listen(shortTimeouts);
    const session = connectHttp2(url);
    await http2Get(session);
    await once(session, "close");
  });
});

describe("Closing a listener", () => {
  test("lets a running request finish, accepts no new ones, and leaves nothing open", async () => {
    const { listener, port, requests } = await listen(longTimeouts);
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

  test("cuts a request that does not finish in time", async () => {
    const { listener, port, requests } = await listen(longTimeouts);
    await talk(port, async (socket) => {
      socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n");
      await once(requests, "request");
      await listener.close(50);
    });
  });
});

describe("A unix socket", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tidings-socket-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const create = () => {
    const listener = createListener({
      onRequest: (_request, response) => void response.end("hello"),
      onUpgrade: () => false,
      timeouts: longTimeouts,
    });
    open.push(listener);
    return listener;
  };
  const get = async (socketPath: string) => {
    const call = request({ socketPath, agent: false }).end();
    const [response] = await once(call, "response");
    let body = "";
    for await (const chunk of response) body += chunk;
    return body;
  };

  test("serves requests, has the given mode, and is gone after the server", async () => {
    const path = join(folder, "s");
    const listener = create();
    expect(await listener.listenOn({ path, mode: 0o600 })).toEqual({ host: path, port: 0, url: `unix:${path}` });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await get(path)).toBe("hello");
    const session = connectHttp2("http://x", { createConnection: () => connect(path) });
    expect(await http2Get(session)).toBe("hello");
    session.close();
    await listener.close(0);
    expect(existsSync(path)).toBe(false);
  });

  test("replaces the file of a server that was killed", async () => {
    const path = join(folder, "s");
    const stale = spawn(process.execPath, [
      "-e",
      `require("net").createServer().listen(${JSON.stringify(path)}, () => console.log())`,
    ]);
    await once(stale.stdout, "data");
    await expect(create().listenOn({ path })).rejects.toThrow("is in use by another server");
    stale.kill("SIGKILL");
    await once(stale, "exit");
    await create().listenOn({ path });
    expect(statSync(path).mode & 0o777).toBe(0o660);
    expect(await get(path)).toBe("hello");
  });

  test("does not replace a file that is no socket, and refuses a path that is too long", async () => {
    const path = join(folder, "s");
    writeFileSync(path, "precious");
    await expect(create().listenOn({ path })).rejects.toThrow("exists and is no socket");
    expect(readFileSync(path, "utf8")).toBe("precious");
    await expect(create().listenOn({ path: join(folder, "x".repeat(108)) })).rejects.toThrow("at most 107 bytes");
  });
});

test("Listening on a port that is taken rejects with EADDRINUSE", async () => {
  const { port } = await listen(longTimeouts);
  const second = createListener({ onRequest: () => {}, onUpgrade: () => false, timeouts: longTimeouts });
  await expect(second.listen("127.0.0.1", port)).rejects.toThrow("EADDRINUSE");
});
