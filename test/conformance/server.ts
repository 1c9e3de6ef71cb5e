/**
 * Serves the conformance service through the listener and the adapter. connectconformance starts it for each
 * configuration.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createAdapter } from "../../src/http/adapter.ts";
import { InFlight } from "../../src/http/in-flight.ts";
import { createListener } from "../../src/http/listener.ts";
import { resolveInFlight } from "../../src/in-flight-options.ts";
import { AddressList } from "../../src/util/address-list.ts";
import {
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
} from "./gen/connectrpc/conformance/v1/server_compat_pb.ts";
import { ConformanceService } from "./gen/connectrpc/conformance/v1/service_pb.ts";
import { conformanceService, registry } from "./service.ts";

/** Reads one message, which its length precedes. */
async function readSized(): Promise<Buffer> {
  let data = Buffer.alloc(0);
  for await (const chunk of process.stdin) {
    data = Buffer.concat([data, chunk as Buffer]);
    if (data.length >= 4 && data.length >= 4 + data.readUInt32BE()) break;
  }
  return data.subarray(4, 4 + data.readUInt32BE());
}

const request = fromBinary(ServerCompatRequestSchema, await readSized());
const { key, cert } = request.serverCreds ?? { key: new Uint8Array(), cert: new Uint8Array() };
const handler = createAdapter({
  routes: (router) =>
    router.service(ConformanceService, conformanceService, {
      jsonOptions: { registry },
      ...(request.messageReceiveLimit > 0 ? { readMaxBytes: request.messageReceiveLimit } : {}),
    }),
  fallback: (_request, response) => void response.writeHead(404).end(),
  trustedProxies: new AddressList([]),
  largeAnswers: new Set(),
  inFlight: new InFlight(resolveInFlight(), 30_000, () => {}),
  logger: undefined,
});
const listener = createListener({
  onRequest: handler,
  onUpgrade: () => false,
  ...(request.useTls ? { tls: { key: Buffer.from(key), cert: Buffer.from(cert) } } : {}),
  timeouts: { headersMs: 10_000, requestMs: 30_000, idleMs: 75_000, stallMs: 30_000 },
});
const { host, port } = await listener.listen("127.0.0.1", 0);
const answer = toBinary(
  ServerCompatResponseSchema,
  create(ServerCompatResponseSchema, { host, port, pemCert: request.useTls ? cert : new Uint8Array() }),
);
const size = Buffer.alloc(4);
size.writeUInt32BE(answer.length);
process.stdout.write(Buffer.concat([size, answer]));
process.on("SIGTERM", () => process.exit(0));
