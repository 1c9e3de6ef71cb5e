/** Checks how a drain under load ends the streams of a server. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { expect } from "vitest";
import { WebSocket } from "ws";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { reasonOf } from "../../src/errors.ts";
import { Kind, PushService } from "../../src/gen.ts";
import { ServerProcess, tokenFor } from "./server-process.ts";

/** How a stream ended: its last event, and the error after it. */
interface End {
  readonly name: string;
  readonly lastEvent: string | undefined;
  readonly end: string;
}

/** Drains a server with a publisher and a stream over each transport, and expects go_away on every stream. */
export async function drainWatched(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "tidings-drain-"));
  const server = new ServerProcess({ data: folder, drain: "2s" });
  try {
    const url = await server.ready;
    const transports: readonly [string, Transport][] = [
      ["Connect, HTTP/1.1", createConnectTransport({ baseUrl: url, httpVersion: "1.1" })],
      ["Connect, HTTP/2", createConnectTransport({ baseUrl: url, httpVersion: "2" })],
      ["gRPC-Web", createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" })],
      ["gRPC", createGrpcTransport({ baseUrl: url })],
    ];
    const user = await tokenFor({ sub: "ann", tenant: "acme", role: "user" });
    const watched = [...transports.map(([name, transport]) => watchRpc(name, transport, user)), watchSocket(url, user)];
    await Promise.all(watched.map(({ open }) => open));
    const load = publishUntilRefused(url, await tokenFor({ sub: "load", tenant: "acme", role: "service" }));
    await load.started;
    expect.soft(await server.stop()).toBe(0);
    await load.ended;
    for (const { name, lastEvent, end } of await Promise.all(watched.map((stream) => stream.end))) {
      expect.soft(lastEvent, name).toBe("goAway");
      expect
        .soft(end, name)
        .toBe(name === "WebSocket" ? "4014 SERVER_DRAINING" : "unavailable SERVER_DRAINING with a delay");
    }
    expect.soft(server.log).toBe("");
  } finally {
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

function watchRpc(name: string, transport: Transport, token: string): { open: Promise<void>; end: Promise<End> } {
  const open = Promise.withResolvers<void>();
  const follow = async (): Promise<End> => {
    let lastEvent: string | undefined;
    try {
      const stream = createClient(PushService, transport).subscribe(
        {},
        { headers: { authorization: `Bearer ${token}` } },
      );
      for await (const { event } of stream) {
        lastEvent = event.case;
        if (lastEvent === "caughtUp") open.resolve();
      }
      return { name, lastEvent, end: "no error" };
    } catch (error) {
      return { name, lastEvent, end: describeError(ConnectError.from(error)) };
    }
  };
  return { open: open.promise, end: follow() };
}

function describeError(error: ConnectError): string {
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason ?? reasonOf(error);
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return `${error.code === 14 ? "unavailable" : error.code} ${reason}${delay ? " with a delay" : ""}`;
}

function watchSocket(url: string, token: string): { open: Promise<void>; end: Promise<End> } {
  const open = Promise.withResolvers<void>();
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/ws`, "tidings.v1.json");
  let lastEvent: string | undefined;
  socket.on("open", () => socket.send(JSON.stringify({ token, subscribe: {} })));
  socket.on("message", (data) => {
    [lastEvent] = Object.keys(JSON.parse(String(data)) as object);
    if (lastEvent === "caughtUp") open.resolve();
  });
  const end = new Promise<End>((resolve) => {
    socket.on("close", (code, reason) => {
      resolve({ name: "WebSocket", lastEvent, end: `${code} ${String(reason).split(":", 1)[0]}` });
    });
  });
  return { open: open.promise, end };
}

/** Publishes without pause until the server refuses. `started` resolves after some publishes. */
function publishUntilRefused(baseUrl: string, token: string): { started: Promise<void>; ended: Promise<void> } {
  const started = Promise.withResolvers<void>();
  const client = createClient(PushService, createConnectTransport({ baseUrl, httpVersion: "1.1" }));
  const request = {
    audience: { to: { case: "tenant", value: true } },
    message: { kind: Kind.NOTIFICATION, title: "load" },
  } as const;
  const publish = async () => {
    try {
      for (let count = 0; ; count++) {
        await client.publish(request, { headers: { authorization: `Bearer ${token}` } });
        if (count === 20) started.resolve();
      }
    } catch {
      // The server has stopped, which ends the load.
    }
  };
  return { started: started.promise, ended: publish() };
}
