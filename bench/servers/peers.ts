/** The servers that tables compare, each with the protocol of its subscribers. */
import type { Protocol } from "../sockets/protocols.ts";
import type { TidingsSpec } from "./process/tidings.ts";
import { findProgram } from "./program.ts";
import { ReferenceServer, type Sender, TidingsServer, type Unicaster } from "./servers.ts";
import { findSocketify, startCentrifugo, startMicroWebSockets, startNats } from "./third-party.ts";
import { buildWriteLoop } from "./write-loop.ts";

/** A server to compare, and the protocol of its subscribers. */
export interface Contender<T extends Sender = Sender> {
  readonly name: string;
  readonly protocol: Protocol;
  /** Streams on one connection. Default 1. */
  readonly streamsPerConnection?: number;
  start(): Promise<T>;
}

/** The names of servers that targets compare. `× 100` stands for 100 streams on one connection. */
export const names = {
  floor: "C write loop",
  bare: "bare Node write loop",
  wsPackage: "ws, send() to each",
  socketIo: "Socket.IO 4, room broadcast",
  microWebSockets: "uWebSockets, publish to a topic",
  centrifugo: "Centrifugo 6, history in memory",
  nats: "NATS, nothing stored",
  stockConnect: "stock connect-node, HTTP/1.1",
  stockHttp2: "stock connect-node, HTTP/2 × 100",
  grpcJs: "@grpc/grpc-js, HTTP/2 × 100",
  ws: "Tidings, WebSocket, on disk",
  wsJson: "Tidings, WebSocket in JSON, on disk",
  wsMemory: "Tidings, WebSocket, in memory",
  connect: "Tidings, Connect HTTP/1.1, on disk",
  grpc: "Tidings, gRPC HTTP/2 × 100, on disk",
} as const;

const disk: TidingsSpec = {};
const memory: TidingsSpec = { data: ":memory:" };

/** The servers that always run here. */
export const own = {
  bare: { name: names.bare, protocol: "bare", start: () => ReferenceServer.start("bare") },
  wsPackage: { name: names.wsPackage, protocol: "ws", start: () => ReferenceServer.start("ws") },
  socketIo: { name: names.socketIo, protocol: "socket.io", start: () => ReferenceServer.start("socket-io") },
  stockConnect: { name: names.stockConnect, protocol: "connect", start: () => ReferenceServer.start("connect", "1.1") },
  stockHttp2: {
    name: names.stockHttp2,
    protocol: "grpc",
    streamsPerConnection: 100,
    start: () => ReferenceServer.start("connect", "2"),
  },
  grpcJs: {
    name: names.grpcJs,
    protocol: "grpc",
    streamsPerConnection: 100,
    start: () => ReferenceServer.start("grpc"),
  },
  ws: { name: names.ws, protocol: "tidings-ws", start: () => TidingsServer.start(disk) },
  wsJson: { name: names.wsJson, protocol: "tidings-ws-json", start: () => TidingsServer.start(disk) },
  wsMemory: { name: names.wsMemory, protocol: "tidings-ws", start: () => TidingsServer.start(memory) },
  connect: { name: names.connect, protocol: "connect", start: () => TidingsServer.start(disk) },
  grpc: {
    name: names.grpc,
    protocol: "grpc",
    streamsPerConnection: 100,
    start: () => TidingsServer.start(disk),
  },
} as const satisfies Readonly<Record<string, Contender>>;

const skipped = new Set<string>();

/** Prints once which server is not measured, and why. */
function skip(name: string, reason: string): [] {
  if (!skipped.has(name)) console.log(`skipped ${name}: ${reason}\n`);
  skipped.add(name);
  return [];
}

/** The write loop in C, where it can be compiled: one element, or none. */
export function writeLoop(): Contender<ReferenceServer>[] {
  const program = buildWriteLoop();
  if (program === undefined) return skip(names.floor, "there is no cc, or this is not Linux");
  return [{ name: names.floor, protocol: "bare", start: () => ReferenceServer.startWriteLoop(program) }];
}

/** Centrifugo, where its program is on the PATH: one element, or none. */
export function centrifugo(): Contender<Sender & Unicaster>[] {
  const path = findProgram("centrifugo");
  if (path === undefined) return skip(names.centrifugo, "centrifugo is not on the PATH");
  return [{ name: names.centrifugo, protocol: "centrifugo", start: () => startCentrifugo(path) }];
}

/** NATS, where its program is on the PATH: one element, or none. */
export function nats(): Contender[] {
  const path = findProgram("nats-server");
  if (path === undefined) return skip(names.nats, "nats-server is not on the PATH");
  return [{ name: names.nats, protocol: "nats", start: () => startNats(path) }];
}

/** uWebSockets, where Python has socketify: one element, or none. */
export function microWebSockets(): Contender[] {
  const python = findSocketify();
  if (python === undefined) {
    return skip(names.microWebSockets, "no Python with socketify (python3, or BENCH_PYTHON)");
  }
  return [{ name: names.microWebSockets, protocol: "ws", start: () => startMicroWebSockets(python) }];
}

/** The name of Socket.IO in tables in which nothing is sent. */
export const idleSocketIo = "Socket.IO 4";

/** The servers of tables in which nothing is sent, named without the way in which they send. */
export function silentPeers(): Contender[] {
  return [
    { ...own.bare, name: "bare Node sockets" },
    ...microWebSockets().map((peer) => ({ ...peer, name: "uWebSockets" })),
    { ...own.wsPackage, name: "ws" },
    { ...own.socketIo, name: idleSocketIo },
    ...centrifugo(),
    ...nats().map((peer) => ({ ...peer, name: "NATS" })),
    own.stockConnect,
  ];
}
