import type { Family } from "../drivers/families.ts";
import { isChosen, type Plan } from "../plan.ts";
import { findProgram, startCentrifugo, startNats } from "../programs.ts";
import { PlainServer, type Sender, TidingsServer } from "../servers.ts";

/** A server and the protocol that its subscribers speak. */
export interface Contender {
  readonly name: string;
  readonly family: Family;
  /** Streams on one connection. */
  readonly perSession?: number;
  start(): Promise<Sender>;
}

/** The names that targets compare. */
export const names = {
  bare: "bare write loop",
  socketIo: "Socket.IO 4, room broadcast",
  stockConnect: "stock connect-node, HTTP/1.1",
  stockHttp2: "stock connect-node, HTTP/2 × 100",
  ws: "Tidings, WebSocket, on disk",
  connect: "Tidings, Connect HTTP/1.1, on disk",
  grpc: "Tidings, gRPC HTTP/2 × 100, on disk",
} as const;

/** All that run here; `× 100`: so many streams on one connection. */
export function contenders(plan: Plan): Contender[] {
  const disk = () => TidingsServer.start();
  const memory = () => TidingsServer.start({ data: ":memory:" });
  // One row shows what the disk adds; the others are for who has the time.
  const more = plan.name === "full" ? inMemory(memory) : [];
  const all: Contender[] = [
    { name: names.bare, family: "bare", start: () => PlainServer.start("bare") },
    { name: "ws, send() to each", family: "ws", start: () => PlainServer.start("ws") },
    { name: names.socketIo, family: "socket.io", start: () => PlainServer.start("socket-io") },
    { name: names.stockConnect, family: "connect", start: () => PlainServer.start("connect", "1.1") },
    { name: names.stockHttp2, family: "grpc", perSession: 100, start: () => PlainServer.start("connect", "2") },
    { name: "@grpc/grpc-js, HTTP/2 × 100", family: "grpc", perSession: 100, start: () => PlainServer.start("grpc") },
    ...programs(),
    { name: names.ws, family: "tidings-ws", start: disk },
    { name: "Tidings, WebSocket, in memory", family: "tidings-ws", start: memory },
    { name: names.connect, family: "connect", start: disk },
    { name: names.grpc, family: "grpc", perSession: 100, start: disk },
    { name: "Tidings, gRPC HTTP/2 × 1, on disk", family: "grpc", perSession: 1, start: disk },
    ...more,
  ];
  return all.filter(({ name }) => isChosen(plan, name));
}

function inMemory(start: Contender["start"]): Contender[] {
  return [
    { name: "Tidings, Connect HTTP/1.1, in memory", family: "connect", start },
    { name: "Tidings, gRPC HTTP/2 × 100, in memory", family: "grpc", perSession: 100, start },
    { name: "Tidings, gRPC HTTP/2 × 1, in memory", family: "grpc", perSession: 1, start },
  ];
}

function programs(): Contender[] {
  const known = [
    { program: "nats-server", name: "NATS, nothing stored", family: "nats", start: startNats },
    { program: "centrifugo", name: "Centrifugo, no history", family: "centrifugo", start: startCentrifugo },
  ] as const;
  return known.flatMap(({ program, name, family, start }) => {
    const path = findProgram(program);
    if (path !== undefined) return [{ name, family, start: () => start(path) }];
    console.log(`${program} is not on the PATH: no row for it.`);
    return [];
  });
}
