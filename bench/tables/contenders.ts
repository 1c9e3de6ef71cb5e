import { includesRow, type Plan } from "../plan.ts";
import { type Contender, centrifugo, microWebSockets, names, nats, own, writeLoop } from "../servers/peers.ts";
import { TidingsServer } from "../servers/servers.ts";

/** The row of the write loop in C that does not wait for the readers. */
export const unpaced = `${names.floor}, not paced`;

/** All servers of the fan-out table that can run here. */
export function contenders(plan: Plan): Contender[] {
  // One row in memory is enough to show the cost of the disk; the others are part of a full run.
  const more = plan.name === "full" ? inMemory() : [];
  const all: Contender[] = [
    ...writeLoop().flatMap((loop) => [loop, { ...loop, name: unpaced }]),
    own.bare,
    ...microWebSockets(),
    own.wsPackage,
    own.socketIo,
    ...centrifugo(),
    ...nats(),
    own.stockConnect,
    own.stockHttp2,
    own.grpcJs,
    own.ws,
    own.wsJson,
    own.wsMemory,
    own.connect,
    own.grpc,
    { ...own.grpc, name: "Tidings, gRPC HTTP/2 × 1, on disk", streamsPerConnection: 1 },
    ...more,
  ];
  return all.filter(({ name }) => includesRow(plan, name));
}

function inMemory(): Contender[] {
  const start = () => TidingsServer.start({ data: ":memory:" });
  return [
    { name: "Tidings, Connect HTTP/1.1, in memory", protocol: "connect", start },
    { name: "Tidings, gRPC HTTP/2 × 100, in memory", protocol: "grpc", streamsPerConnection: 100, start },
    { name: "Tidings, gRPC HTTP/2 × 1, in memory", protocol: "grpc", streamsPerConnection: 1, start },
  ];
}
