import { createServer, type RequestListener } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport, createConnectTransport as createNodeTransport } from "@connectrpc/connect-node";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { describe, expect, test } from "vitest";
import { SubscribeResponseSchema } from "../../../gen/tidings/v1/push_service_pb.ts";
import { connectTidings } from "../../../src/client/index.ts";
import { newTenant, startServer } from "../../support/server.ts";
import type { EventInit } from "../fake-server.ts";
import { caughtUp, hello, until } from "../server-events.ts";

type Break = (response: Parameters<RequestListener>[1], contentType: string) => void;

/** Transports of the Connect libraries, which have codes of their own for responses that they cannot read. */
const transports: Record<string, { readonly http2?: true; readonly open?: (baseUrl: string) => Transport }> = {
  "connect-web": { open: (baseUrl) => createConnectTransport({ baseUrl, useBinaryFormat: true }) },
  "gRPC-Web of connect-web": { open: (baseUrl) => createGrpcWebTransport({ baseUrl }) },
  "Connect of connect-node": { open: (baseUrl) => createNodeTransport({ baseUrl, httpVersion: "1.1" }) },
  "gRPC of connect-node": { http2: true, open: (baseUrl) => createGrpcTransport({ baseUrl }) },
  "our own fetch": {},
};

const breaks: Record<string, Break> = {
  "is cut within a message": (response, contentType) => {
    response.writeHead(200, { "content-type": contentType });
    response.write(envelope(hello(0)));
    response.end(envelope(caughtUp).subarray(0, -1));
  },
  "is cut within the header of a message": (response, contentType) => {
    response.writeHead(200, { "content-type": contentType });
    response.write(envelope(hello(0)));
    response.end(Buffer.alloc(3));
  },
  "ends without an end of stream": (response, contentType) => {
    response.writeHead(200, { "content-type": contentType });
    response.end(envelope(hello(0)));
  },
  "is answered by a proxy that has no such path": (response) => void response.writeHead(404).end("not here"),
  "is answered by a proxy that forbids everything": (response) => void response.writeHead(403).end("not you"),
};

function envelope(event: EventInit): Buffer {
  const message = toBinary(SubscribeResponseSchema, create(SubscribeResponseSchema, { event }));
  const header = Buffer.alloc(5);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

/** Breaks the first stream, and serves the second. */
async function serve(http2: boolean, breaks: Break) {
  let streams = 0;
  const handle: RequestListener = (request, response) => {
    request.resume();
    const contentType = request.headers["content-type"] ?? "";
    if (++streams === 1) return breaks(response, contentType);
    response.writeHead(200, { "content-type": contentType });
    response.write(Buffer.concat([envelope(hello(0)), envelope(caughtUp)]));
  };
  const server = http2 ? createHttp2Server(handle as never) : createServer(handle);
  const open = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => open.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = async () => {
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, streams: () => streams, close };
}

describe.each(Object.entries(transports))("Over %s, a client whose stream", (_name, { http2 = false, open }) => {
  test.each(Object.entries(breaks))("%s reconnects", async (_name, broken) => {
    const server = await serve(http2, broken);
    const client = connectTidings({
      url: server.url,
      token: () => "token",
      transport: "connect",
      random: { fraction: () => 0 },
      ...(open ? { connect: open(server.url) } : {}),
    });
    try {
      await until(client.state, (state) => state === "closed" || (state === "live" && server.streams() >= 2));
      expect(client.state.value).toBe("live");
    } finally {
      client.close();
      await server.close();
    }
  });

  test("is refused by a Tidings server closes with the reason", async () => {
    const server = await startServer();
    const token = await server.token({ tenant: newTenant() });
    const client = connectTidings({
      url: server.url,
      token: () => token,
      transport: "connect",
      subscribe: { categories: Array(101).fill("too many") },
      ...(open ? { connect: open(server.url) } : {}),
    });
    const reasons: unknown[] = [];
    client.on("error", ({ reason }) => void reasons.push(reason));
    try {
      await until(client.state, (state) => state === "closed");
      expect(reasons).toEqual(["FIELD_INVALID"]);
    } finally {
      client.close();
      await server.stop();
    }
  });
});
