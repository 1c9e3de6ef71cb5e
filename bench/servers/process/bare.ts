/** The lower bound: one write per socket, of bytes that are encoded once; several messages are one write. */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { serveCommands } from "../../process/commands.ts";
import { sampleBytes } from "../../workload/message.ts";

const message = sampleBytes();
const sockets = new Set<Socket>();

serveCommands({ start, send });

function start(): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.write("ready");
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
}

function send(count: number): void {
  const frames = Buffer.concat(Array.from({ length: count }, () => message));
  for (const socket of sockets) socket.write(frames);
}
