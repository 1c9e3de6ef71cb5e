/**
 * Streams of clients that accept compression, read by clients of connect-node that count the messages they decompress.
 */
import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import {
  compressionBrotli,
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";

const makers = {
  "Connect, HTTP/1.1": (options: object) => createConnectTransport({ httpVersion: "1.1", ...options } as never),
  "Connect, HTTP/2": (options: object) => createConnectTransport({ httpVersion: "2", ...options } as never),
  gRPC: (options: object) => createGrpcTransport(options as never),
  "gRPC-Web": (options: object) => createGrpcWebTransport({ httpVersion: "1.1", ...options } as never),
};
const large = "tidings ".repeat(500);

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

function counting(compression: typeof compressionGzip) {
  const counted = { decompressed: 0 };
  const decompress = (bytes: Uint8Array, most: number) => {
    counted.decompressed++;
    return compression.decompress(bytes, most);
  };
  return { counted, compression: { ...compression, decompress } };
}

describe.each(Object.entries(makers))("A stream over %s", (_, make) => {
  test.each([
    ["gzip", compressionGzip, false],
    ["gzip", compressionGzip, true],
    ["br", compressionBrotli, false],
    ["br", compressionBrotli, true],
  ])("compresses large messages by %s, and leaves small ones as they are", async (_name, chosen, useBinaryFormat) => {
    const tenant = newTenant();
    const { counted, compression } = counting(chosen);
    const token = await server.token({ tenant });
    const bearer: Interceptor = (next) => (request) => {
      request.header.set("authorization", `Bearer ${token}`);
      return next(request);
    };
    const options = { baseUrl: server.url, acceptCompression: [compression], useBinaryFormat, interceptors: [bearer] };
    const transport: Transport = make(options);
    const end = new AbortController();
    const backend = server.client({ tenant, role: "service" });
    const contents: string[] = [];
    try {
      for await (const { event } of createClient(PushService, transport).subscribe({}, { signal: end.signal })) {
        if (event.case === "caughtUp") {
          for (const content of [large, "small", large])
            await backend.publish({
              audience: { to: { case: "userId", value: "ann" } },
              message: { kind: Kind.NOTIFICATION, category: "test", title: "t", content },
            });
        }
        if (event.case === "message" && contents.push(event.value.content) === 3) break;
      }
    } finally {
      end.abort();
    }
    expect(contents).toEqual([large, "small", large]);
    expect(counted.decompressed).toBe(2);
  });
});
