/** Joins one room from many pages within a second, watches the online count on all of them, and prints what came. */
import { WebSocket } from "ws";
import { benchToken } from "./tokens.ts";

const [port, count] = [Number(process.argv[2]), Number(process.argv[3])];
const users = Array.from({ length: count }, (_, index) => `user-${index}`);
const tokens = await Promise.all(users.map((user) => benchToken("user", user, ["hall"])));
const subscribe = { rooms: [{ roomId: "hall" }], onlineCount: true };
const sockets: WebSocket[] = [];
let joined = 0;
let onlineEvents = 0;
/** The last count that each page has. */
const shown = new Map<string, number>();

interface StreamEvent {
  readonly room?: { readonly status: string };
  readonly hello?: { readonly online: { readonly users: number } };
  readonly online?: { readonly users: number };
}

function join(token: string): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, "tidings.v1.json", { perMessageDeflate: false });
  sockets.push(socket);
  socket.on("open", () => socket.send(JSON.stringify({ token, subscribe })));
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("message", (data) => {
      const { hello, online, room } = JSON.parse(String(data)) as StreamEvent;
      if (online) onlineEvents++;
      const seen = online ?? hello?.online;
      if (seen) shown.set(token, seen.users);
      if (room?.status !== "STATUS_JOINED") return;
      joined++;
      resolve();
    });
  });
}

const start = performance.now();
await Promise.all(
  tokens.map(async (token, index) => {
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, start + (index * 1000) / count - performance.now())),
    );
    await join(token);
  }),
);
const seconds = (performance.now() - start) / 1000;
// Two intervals after the last join everybody must have the last count.
await new Promise((resolve) => setTimeout(resolve, 2500));
const right = [...shown.values()].filter((value) => value === count).length;
console.log(JSON.stringify({ joined, seconds, onlineEvents, right, lasted: (performance.now() - start) / 1000 }));
process.stdin.on("end", () => process.exit(0)).resume();
