/** Joins one room from many pages within a second. Every page also follows the online count. */
import { WebSocket } from "ws";
import { serveCommands } from "../../process/commands.ts";
import { benchTenant, userToken } from "../../workload/tokens.ts";

/** The result of all joins. */
export interface Joins {
  /** Pages that have joined the room. */
  readonly joined: number;
  /** Seconds until all of them had joined. */
  readonly seconds: number;
  /** Events with an online count, on all pages together. */
  readonly onlineEvents: number;
  /** Pages whose last online count is correct. */
  readonly correct: number;
  /** Seconds during which online events were counted. */
  readonly observedSeconds: number;
}

/** The server sends an online count at most once a second, so every page has the last count after this time. */
const settleMs = 2500;
const subscribe = { rooms: [{ roomId: "hall" }], onlineCount: true };
/** Referenced here so that they are not garbage-collected. */
const sockets: WebSocket[] = [];
let joined = 0;
let onlineEvents = 0;
/** The last online count of each page, by token. */
const lastCounts = new Map<string, number>();

interface StreamEvent {
  readonly room?: { readonly status: string };
  readonly hello?: { readonly online: { readonly users: number } };
  readonly online?: { readonly users: number };
}

serveCommands({ join });

async function join({ port, count }: { port: number; count: number }): Promise<Joins> {
  const users = Array.from({ length: count }, (_, index) => `user-${index}`);
  const tokens = await Promise.all(users.map((user) => userToken(user, benchTenant, ["hall"])));
  const start = performance.now();
  await Promise.all(
    tokens.map(async (token, index) => {
      const due = start + (index * 1000) / count - performance.now();
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due)));
      await joinOne(port, token);
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  const correct = [...lastCounts.values()].filter((users) => users === count).length;
  return { joined, seconds, onlineEvents, correct, observedSeconds: (performance.now() - start) / 1000 };
}

function joinOne(port: number, token: string): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, "tidings.v1.json", { perMessageDeflate: false });
  sockets.push(socket);
  socket.on("open", () => socket.send(JSON.stringify({ token, subscribe })));
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("message", (data) => {
      const { hello, online, room } = JSON.parse(String(data)) as StreamEvent;
      if (online) onlineEvents++;
      const count = online ?? hello?.online;
      if (count) lastCounts.set(token, count.users);
      if (room?.status !== "STATUS_JOINED") return;
      joined++;
      resolve();
    });
  });
}
