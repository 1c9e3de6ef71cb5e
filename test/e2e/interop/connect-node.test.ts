import type { Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { connectDriver } from "./connect-node.ts";
import { scenario } from "./scenario/index.ts";

type Codec = { baseUrl: string; useBinaryFormat: boolean };
type OverHttp2 = Codec & { httpVersion: "2"; sessionManager: Http2SessionManager };

const binary: [string, boolean][] = [
  ["Protobuf", true],
  ["JSON", false],
];

const overHttp1: [string, (options: Codec & { httpVersion: "1.1" }) => Transport][] = [
  ["Connect", createConnectTransport],
  ["gRPC-Web", createGrpcWebTransport],
];

const overHttp2: [string, (options: OverHttp2) => Transport][] = [
  ["Connect", createConnectTransport],
  ["gRPC-Web", createGrpcWebTransport],
  ["gRPC", createGrpcTransport],
];

for (const [codec, useBinaryFormat] of binary) {
  for (const [protocol, createTransport] of overHttp1) {
    scenario(`connect-node: ${protocol}, ${codec}, HTTP/1.1`, (baseUrl) =>
      connectDriver(createTransport({ baseUrl, useBinaryFormat, httpVersion: "1.1" }), () => {}),
    );
  }
  for (const [protocol, createTransport] of overHttp2) {
    scenario(`connect-node: ${protocol}, ${codec}, HTTP/2`, (baseUrl) => {
      const sessionManager = new Http2SessionManager(baseUrl);
      const transport = createTransport({ baseUrl, useBinaryFormat, httpVersion: "2", sessionManager });
      return connectDriver(transport, () => sessionManager.abort());
    });
  }
}
