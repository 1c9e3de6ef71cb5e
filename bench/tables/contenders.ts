import { includesRow, type Plan } from "../plan.ts";
import { ReferenceServer, type Sender, TidingsServer } from "../servers/servers.ts";
import { findProgram, startCentrifugo, startNats } from "../servers/third-party.ts";
import type { Protocol } from "../sockets/protocols.ts";

/** A server to compare, and the protocol of its subscribers. */
export interface Contender {
  readonly name: string;
  readonly protocol: Protocol;
  /** Streams on one connection. Default 1. */
  readonly streamsPerConnection?: number;
  start(): Promise<Sender>;
}

/** The names of servers that targets compare. */
export const names = {
  bare: "bare write loop",
  socketIo: "Socket.IO 4, room broadcast",
  stockConnect: "stock connect-node, HTTP/1.1",
  stockHttp2: "stock connect-node, HTTP/2 × 100",
  ws: "Tidings, WebSocket, on disk",
  connect: "Tidings, Connect HTTP/1.1, on disk",
  grpc: "Tidings, gRPC HTTP/2 × 100, on disk",
} as const;

/** All servers that can run here. In their names `× 100` stands for 100 streams on one connection. */
export function contenders(plan: Plan): Contender[] {
  const disk = () => TidingsServer.start();
  const memory = () => TidingsServer.start({ data: ":memory:" });
  // One row in memory is enough to show the cost of the disk; the others are part of a full run.
  const more = plan.name === "full" ? inMemory(memory) : [];
  const all: Contender[] = [
    { name: names.bare, protocol: "bare", start: () => ReferenceServer.start("bare") },
    { name: "ws, send() to each", protocol: "ws", start: () => ReferenceServer.start("ws") },
    { name: names.socketIo, protocol: "socket.io", start: () => ReferenceServer.start("socket-io") },
    { name: names.stockConnect, protocol: "connect", start: () => ReferenceServer.start("connect", "1.1") },
    {
      name: names.stockHttp2,
      protocol: "grpc",
      streamsPerConnection: 100,
      start: () => ReferenceServer.start("connect", "2"),
    },
    {
      name: "@grpc/grpc-js, HTTP/2 × 100",
      protocol: "grpc",
      streamsPerConnection: 100,
      start: () => ReferenceServer.start("grpc"),
    },
    ...thirdParty(),
    { name: names.ws, protocol: "tidings-ws", start: disk },
    { name: "Tidings, WebSocket, in memory", protocol: "tidings-ws", start: memory },
    { name: names.connect, protocol: "connect", start: disk },
    { name: names.grpc, protocol: "grpc", streamsPerConnection: 100, start: disk },
    { name: "Tidings, gRPC HTTP/2 × 1, on disk", protocol: "grpc", streamsPerConnection: 1, start: disk },
    ...more,
  ];
  return all.filter(({ name }) => includesRow(plan, name));
}

function inMemory(start: Contender["start"]): Contender[] {
  return [
    { name: "Tidings, Connect HTTP/1.1, in memory", protocol: "connect", start },
    { name: "Tidings, gRPC HTTP/2 × 100, in memory", protocol: "grpc", streamsPerConnection: 100, start },
    { name: "Tidings, gRPC HTTP/2 × 1, in memory", protocol: "grpc", streamsPerConnection: 1, start },
  ];
}

function thirdParty(): Contender[] {
  const known = [
    { program: "nats-server", name: "NATS, nothing stored", protocol: "nats", start: startNats },
    { program: "centrifugo", name: "Centrifugo, no history", protocol: "centrifugo", start: startCentrifugo },
  ] as const;
  return known.flatMap(({ program, name, protocol, start }) => {
    const path = findProgram(program);
    if (path !== undefined) return [{ name, protocol, start: () => start(path) }];
    console.log(`fan-out: skipped ${program}: it is not on the PATH`);
    return [];
  });
}
