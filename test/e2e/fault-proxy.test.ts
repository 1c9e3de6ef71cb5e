import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FaultProxy } from "../support/fault-proxy.ts";

/** Sends everything back, and ends when the client ends. */
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

/** Resolves when a socket has closed, for whatever reason. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** Sends a text, and returns as many bytes of the response. */
async function say(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  let received = "";
  while (received.length < text.length) received += String((await once(socket, "data"))[0]);
  return received;
}

describe("A fault proxy", () => {
  test("carries bytes both ways, in order, also more than fit into its buffers", async () => {
    const text = "0123456789".repeat(500_000);
    expect(await say(await open(), text)).toBe(text);
  });

  test("passes on the end of one direction, and leaves the other open", async () => {
    const socket = await open();
    const end = closed(socket);
    socket.end("last words");
    expect(String((await once(socket, "data"))[0])).toBe("last words");
    await end;
    await expect.poll(() => proxy.connections).toBe(0);
  });

  test("breaks connections while it is cut, and none after", async () => {
    const socket = await open();
    expect(await say(socket, "a")).toBe("a");
    const broken = closed(socket);
    proxy.cut();
    await broken;
    await closed(dial());
    proxy.heal();
    expect(await say(await open(), "b")).toBe("b");
  });

  test("resets open connections, and accepts new ones", async () => {
    const socket = await open();
    await say(socket, "a");
    const error = once(socket, "error");
    proxy.reset();
    expect(await error).toMatchObject([{ code: "ECONNRESET" }]);
    expect(await say(await open(), "b")).toBe("b");
  });

  test("as a black hole holds back the bytes of old and new connections, and loses none", async () => {
    const before = await open();
    await say(before, "a");
    proxy.blackHole();
    const after = await open();
    let received = "";
    before.on("data", (chunk) => (received += chunk));
    after.on("data", (chunk) => (received += chunk));
    before.write("b");
    after.write("c");
    const end = closed(before);
    before.end();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(received).toBe("");
    expect(taken).toHaveLength(1);
    proxy.heal();
    await expect.poll(() => [...received].sort()).toEqual(["b", "c"]);
    await end;
  });

  test("delays chunks by the given time, several at once no longer than one", async () => {
    const socket = await open();
    await say(socket, "a");
    proxy.delay(60);
    const began = performance.now();
    const answers = Promise.all([say(socket, "b"), once(socket, "data")]);
    socket.write("c");
    await answers;
    const tookMs = performance.now() - began;
    // Both ways are delayed.
    expect(tookMs).toBeGreaterThanOrEqual(115);
    expect(tookMs).toBeLessThan(1000);
  });

  test("keeps to the rate at which it is throttled", async () => {
    const socket = await open();
    proxy.throttle(10_000);
    const began = performance.now();
    expect(await say(socket, "x".repeat(3_000))).toHaveLength(3_000);
    expect(performance.now() - began).toBeGreaterThanOrEqual(290);
  });

  test("connects to the next server when one accepts no connections, and resets the client when none does", async () => {
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

  test("resets the client when the server resets", async () => {
    const socket = await open();
    await say(socket, "a");
    const broken = closed(socket);
    taken[0]?.resetAndDestroy();
    await broken;
  });

  test("lets a filter change the bytes of the server", async () => {
    const { port } = echo.address() as AddressInfo;
    const loud = await FaultProxy.to(port, () => (chunk) => Buffer.from(chunk.toString().toUpperCase()));
    expect(await say(await open(loud.port), "quiet")).toBe("QUIET");
    await loud.close();
  });
});
