/** Opens many idle subscriptions from a process of its own, says when all are caught up, and holds them until stdin ends. */
import { connect } from "node:net";
import { WebSocket } from "ws";
import { benchToken } from "./tokens.ts";

const [kind, port, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

async function openConnect(user: string): Promise<void> {
  const token = await benchToken("user", user);
  const body = "\0\0\0\0\x02{}";
  const head = `POST /tidings.v1.PushService/Subscribe HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/connect+json\r\nauthorization: Bearer ${token}\r\ncontent-length: ${body.length}\r\n\r\n`;
  const socket = connect({ port, host: "127.0.0.1" });
  socket.write(head + body);
  await new Promise<void>((resolve, reject) => {
    socket.on("data", (data) => data.includes("caughtUp") && resolve());
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
