import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { type Client, type ClientReadableStream, credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync, type Options, type PackageDefinition } from "@grpc/proto-loader";
import { root } from "../support/run.ts";

/** A server of a test. */
export interface TestServer {
  /** The address, such as `127.0.0.1:12345`. */
  readonly host: string;
  /** Aborts the signal of all calls, as a server does that shuts down. */
  shutdown(reason: Error): void;
  /** Cuts all connections and stops. */
  close(): Promise<void>;
}

/** Serves routes over cleartext HTTP/2 on a free port, with the stock adapter. */
export async function serve(routes: (router: ConnectRouter) => void): Promise<TestServer> {
  const shutdown = new AbortController();
  const server = createServer(connectNodeAdapter({ routes, shutdownSignal: shutdown.signal }));
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    shutdown: (reason) => shutdown.abort(reason),
    async close() {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Shows messages with the field names of the contract. */
export const loaderOptions: Options = { keepCase: true, enums: String, oneofs: true, arrays: true, bytes: Buffer };

/** A client of @grpc/grpc-js, made from a .proto file. */
export function loadClient<C>(protoFile: string, service: string, host: string, options: object = {}): C & Client {
  return makeClient<C>(loadSync(join(root, protoFile), loaderOptions), service, host, options);
}

/** A client of @grpc/grpc-js, for a service of loaded descriptors. */
export function makeClient<C>(
  loaded: PackageDefinition,
  service: string,
  host: string,
  options: object = {},
): C & Client {
  const found = service
    .split(".")
    .reduce((scope, name) => (scope as Record<string, unknown>)[name], loadPackageDefinition(loaded) as unknown);
  const Constructor = found as new (host: string, credentials: unknown, options: object) => C & Client;
  return new Constructor(host, credentials.createInsecure(), options);
}

/** Reads a stream of @grpc/grpc-js one message at a time; rejects with the error that ends it. */
export function reader<T>(stream: ClientReadableStream<T>): () => Promise<T> {
  const iterator = stream[Symbol.asyncIterator]() as AsyncIterator<T>;
  return async () => {
    const { done, value } = await iterator.next();
    if (done) throw new Error("the stream has ended");
    return value;
  };
}
