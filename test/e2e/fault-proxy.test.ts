import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FaultProxy } from "../support/fault-proxy.ts";

/** Says everything back, and ends when the other side does. */
let echo: Server;
let taken: Socket[];
let proxy: FaultProxy;
const opened: Socket[] = [];

beforeEach(async () => {
  taken = [];
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    taken.push(socket);
    socket.on("error", () => {});
    socket.pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(echo, "listening");
  proxy = await FaultProxy.to((echo.address() as AddressInfo).port);
});

afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy();
  await proxy.close();
  for (const socket of taken) socket.destroy();
  if (echo.listening) {
    echo.close();
    await once(echo, "close");
  }
});

function dial(port = proxy.port): Socket {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  opened.push(socket);
  return socket.on("error", () => {});
}

async function open(port?: number): Promise<Socket> {
  const socket = dial(port);
  await once(socket, "connect");
  return socket;
}

/** However it came to it. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** What comes back for these bytes, as text. */
async function say(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  let heard = "";
  while (heard.length < text.length) heard += String((await once(socket, "data"))[0]);
  return heard;
}

describe("a proxy of faults", () => {
  test("carries bytes both ways, in order, also more than fit into its buffers", async () => {
    const text = "0123456789".repeat(500_000);
    expect(await say(await open(), text)).toBe(text);
  });

  test("passes the end on, and leaves the other direction open", async () => {
    const socket = await open();
    const end = closed(socket);
    socket.end("last words");
    expect(String((await once(socket, "data"))[0])).toBe("last words");
    await end;
    await expect.poll(() => proxy.connections).toBe(0);
  });

  test("breaks everything while it is cut, and nothing after", async () => {
    const socket = await open();
    expect(await say(socket, "a")).toBe("a");
    const broken = closed(socket);
    proxy.cut();
    await broken;
    await closed(dial());
    proxy.heal();
    expect(await say(await open(), "b")).toBe("b");
  });

  test("resets what is open, and takes what comes next", async () => {
    const socket = await open();
    await say(socket, "a");
    const error = once(socket, "error");
    proxy.reset();
    expect(await error).toMatchObject([{ code: "ECONNRESET" }]);
    expect(await say(await open(), "b")).toBe("b");
  });

  test("is a black hole for old and new connections, and loses nothing of what fell in", async () => {
    const before = await open();
    await say(before, "a");
    proxy.blackHole();
    const after = await open();
    let heard = "";
    before.on("data", (chunk) => (heard += chunk));
    after.on("data", (chunk) => (heard += chunk));
    before.write("b");
    after.write("c");
    const end = closed(before);
    before.end();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(heard).toBe("");
    expect(taken).toHaveLength(1);
    proxy.heal();
    await expect.poll(() => [...heard].sort()).toEqual(["b", "c"]);
    await end;
  });

  test("is late by what it is told, and not later for many", async () => {
    const socket = await open();
    await say(socket, "a");
    proxy.delay(60);
    const began = performance.now();
    const answers = Promise.all([say(socket, "b"), once(socket, "data")]);
    socket.write("c");
    await answers;
    const tookMs = performance.now() - began;
    // There and back.
    expect(tookMs).toBeGreaterThanOrEqual(115);
    expect(tookMs).toBeLessThan(1000);
  });

  test("takes its time when it is throttled", async () => {
    const socket = await open();
    proxy.throttle(10_000);
    const began = performance.now();
    expect(await say(socket, "x".repeat(3_000))).toHaveLength(3_000);
    expect(performance.now() - began).toBeGreaterThanOrEqual(290);
  });

  test("goes to the next server where one takes no connections, and breaks it off where none does", async () => {
    const { port } = echo.address() as AddressInfo;
    const gone = createServer().listen(0, "127.0.0.1");
    await once(gone, "listening");
    const dead = (gone.address() as AddressInfo).port;
    gone.close();
    await once(gone, "close");
    let targets = [dead, port];
    const front = new FaultProxy({ targets: () => targets });
    await front.listen();
    expect(await say(await open(front.port), "a")).toBe("a");
    targets = [dead];
    await closed(dial(front.port));
    await front.close();
  });

  test("breaks where its server broke", async () => {
    const socket = await open();
    await say(socket, "a");
    const broken = closed(socket);
    taken[0]?.resetAndDestroy();
    await broken;
  });

  test("lets a filter change what the server says", async () => {
    const { port } = echo.address() as AddressInfo;
    const loud = await FaultProxy.to(port, () => (chunk) => Buffer.from(chunk.toString().toUpperCase()));
    expect(await say(await open(loud.port), "quiet")).toBe("QUIET");
    await loud.close();
  });
});
