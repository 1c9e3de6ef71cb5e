/** Opens many idle subscriptions from a process of its own, says when all are caught up, and holds them until stdin ends. */
import { connect } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { WebSocket } from "ws";
import { SubscribeRequestSchema } from "../gen/tidings/v1/push_service_pb.ts";
import { benchToken } from "./tokens.ts";

const [kind, port, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

async function openConnect(user: string): Promise<void> {
  const token = await benchToken("user", user);
  const message = toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, {}));
  const body = Buffer.alloc(5 + message.length);
  body.writeUInt32BE(message.length, 1);
  body.set(message, 5);
  const head = `POST /tidings.v1.PushService/Subscribe HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/connect+proto\r\nauthorization: Bearer ${token}\r\ncontent-length: ${body.length}\r\n\r\n`;
  const socket = connect({ port, host: "127.0.0.1" });
  socket.write(Buffer.concat([Buffer.from(head), body]));
  let events = 0;
  await new Promise<void>((resolve, reject) => {
    // The head, Hello and CaughtUp come in up to three pieces; the second event is the last one until a heartbeat.
    socket.on("data", (data) => {
      events += data.toString("latin1").split("\r\n").length > 3 ? 1 : 0;
      if (events >= 2) resolve();
    });
    socket.on("error", reject);
  });
}

async function openWebSocket(user: string): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, "tidings.v1.json", { perMessageDeflate: false });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  socket.send(JSON.stringify({ token: await benchToken("user", user), subscribe: {} }));
  await new Promise<void>((resolve) => socket.on("message", (data) => String(data).includes("caughtUp") && resolve()));
}

const open = kind === "ws" ? openWebSocket : openConnect;
for (let opened = 0; opened < count; opened += 50) {
  await Promise.all(Array.from({ length: Math.min(50, count - opened) }, (_, index) => open(`user-${opened + index}`)));
}
console.log("open");
process.stdin.on("end", () => process.exit(0)).resume();
