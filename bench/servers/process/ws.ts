/** `ws` in its usual form: send() to each client. */
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { serveCommands } from "../../process/commands.ts";
import { sampleBytes } from "../../workload/message.ts";

const message = sampleBytes();
let server: WebSocketServer;

serveCommands({ start, send });

function start(): Promise<number> {
  server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
  server.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.send("ready");
  });
  return new Promise((resolve) => server.on("listening", () => resolve((server.address() as AddressInfo).port)));
}

function send(count: number): void {
  for (let index = 0; index < count; index++) for (const client of server.clients) client.send(message);
}
