import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ChunkedSink } from "../../src/wire/chunked-sink.ts";
import { FlushQueue } from "../../src/wire/flush-queue.ts";
import { envelopedIn } from "../../src/wire/formats.ts";
import { eventFrame, type Frame } from "../../src/wire/frame.ts";

const flushQueue = new FlushQueue(setImmediate);
const envelopedProto = envelopedIn("proto");
const envelopedJson = envelopedIn("json");
let server: Server;
let handle: (request: IncomingMessage, response: ServerResponse) => void;

beforeEach(async () => {
  server = createServer((request, response) => handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function port(): number {
  return (server.address() as AddressInfo).port;
}

function frames(...reasons: string[]): readonly Frame[] {
  return reasons.map((reason) => eventFrame({ case: "goAway", value: { reason } }));
}

function bytes(...all: readonly Frame[]): Buffer {
  return Buffer.concat(all.map((frame) => frame.encoded(envelopedProto.plain)));
}

async function fetched(): Promise<Buffer> {
  const response = await fetch(`http://127.0.0.1:${port()}/`);
  return Buffer.from(await response.arrayBuffer());
}

/** Everything that the server sends on one connection, byte for byte. */
async function raw(request: string, enough: (text: string) => boolean): Promise<string> {
  const socket = connect({ port: port(), host: "127.0.0.1" });
  socket.write(request);
  let text = "";
  for await (const chunk of socket) {
    text += (chunk as Buffer).toString("latin1");
    if (enough(text)) break;
  }
  socket.destroy();
  return text;
}

describe("ChunkedSink", () => {
  test("keeps its writes in order with the response's own", async () => {
    const [first, second, third] = frames("one", "two", "x".repeat(70_000)) as [Frame, Frame, Frame];
    handle = (_request, response) => {
      const sink = new ChunkedSink(response, envelopedProto, flushQueue);
      response.write("before|");
      sink.write([first]);
      setImmediate(() => {
        sink.write([second, third]);
        response.write("|between|");
        sink.write([first]);
        response.end("|after");
      });
    };
    const expected = ["before|", bytes(first, second, third), "|between|", bytes(first), "|after"];
    expect(await fetched()).toEqual(Buffer.concat(expected.map((part) => Buffer.from(part))));
  });

  test("writes JSON in a JSON format", async () => {
    const [frame] = frames("one") as [Frame];
    handle = (_request, response) => {
      response.write("|");
      new ChunkedSink(response, envelopedJson, flushQueue).write([frame]);
      response.end();
    };
    expect(await fetched()).toEqual(Buffer.concat([Buffer.from("|"), frame.encoded(envelopedJson.plain)]));
  });

  test("makes no chunks for HTTP/1.0, and none before the headers are sent", async () => {
    const [frame] = frames("one") as [Frame];
    handle = (_request, response) => {
      const sink = new ChunkedSink(response, envelopedProto, flushQueue);
      sink.write([frame]);
      response.write("|");
      sink.write([frame]);
      response.end();
    };
    const expected = Buffer.concat([bytes(frame), Buffer.from("|"), bytes(frame)]);
    expect(await fetched()).toEqual(expected);
    const text = await raw("GET / HTTP/1.0\r\n\r\n", () => false);
    expect(text.slice(text.indexOf("\r\n\r\n") + 4)).toBe(expected.toString("latin1"));
  });

  test("writes nothing after the end, when the connection may carry another response", async () => {
    const sinks: ChunkedSink[] = [];
    handle = (_request, response) => {
      const sink = new ChunkedSink(response, envelopedProto, flushQueue);
      sinks.push(sink);
      response.write(`answer ${sinks.length}`);
      response.end();
      for (const each of sinks) expect(each.write(frames("late"))).toBe(true);
    };
    const request = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const text = await raw(request + request, (all) => all.split("0\r\n\r\n").length === 3);
    expect(text).toContain("answer 1");
    expect(text).toContain("answer 2");
    expect(text).not.toContain("late");
  });

  test("is full while its reader takes nothing, and drains when the reader takes more", async () => {
    let sink: ChunkedSink | undefined;
    const filled = new Promise<void>((resolve) => {
      handle = (_request, response) => {
        sink = new ChunkedSink(response, envelopedProto, flushQueue);
        response.write("|");
        const large = frames("x".repeat(100_000));
        // In the tick of the response's own write everything waits for the end of that tick.
        setImmediate(() => {
          while (sink?.write(large));
          resolve();
        });
      };
    });
    const socket = connect({ port: port(), host: "127.0.0.1" }).pause();
    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await filled;
    const full = sink as unknown as ChunkedSink;
    expect(full.queued).toBeGreaterThan(0);
    let settled = false;
    const drained = full.drained().then(() => (settled = true));
    await new Promise(setImmediate);
    expect(settled).toBe(false);
    socket.resume();
    await drained;
    expect(full.write(frames("more"))).toBe(true);
    socket.destroy();
  });
});
