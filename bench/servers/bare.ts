/** The floor: a frame encoded once and written to each socket; of several messages, one write with all. */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { answerCommands } from "../commands.ts";
import { sampleBytes } from "../message.ts";

const message = sampleBytes();
const sockets = new Set<Socket>();

answerCommands({ start, send });

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
