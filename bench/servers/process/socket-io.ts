/** Socket.IO 4 with the WebSocket transport only, and broadcasts to a room. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import { serveCommands } from "../../process/commands.ts";
import { markedText, textLength } from "../../workload/message.ts";

const message = markedText(textLength);
/** Longer than any run, so that no pings are measured. */
const pingInterval = 3_600_000;
let server: Server;

serveCommands({ start, send });

function start(): Promise<number> {
  const http = createServer();
  server = new Server(http, { transports: ["websocket"], serveClient: false, pingInterval });
  server.on("connection", (socket) => {
    socket.join("bench");
    socket.emit("ready");
  });
  return new Promise((resolve) => http.listen(0, "127.0.0.1", () => resolve((http.address() as AddressInfo).port)));
}

function send(count: number): void {
  for (let index = 0; index < count; index++) server.to("bench").emit("message", message);
}
