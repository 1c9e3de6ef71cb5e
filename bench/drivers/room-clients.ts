/** Joins one room from many pages within a second, and watches the online count on all of them. */
import { WebSocket } from "ws";
import { answerCommands } from "../commands.ts";
import { benchTenant, userToken } from "../tokens.ts";

/** What came of it. */
export interface Joins {
  readonly joined: number;
  readonly seconds: number;
  readonly onlineEvents: number;
  /** Pages that show the right count at the end. */
  readonly right: number;
  readonly lasted: number;
}

/** Online counts come at most once a second: after two, everybody must have the last. */
const settleMs = 2500;
const subscribe = { rooms: [{ roomId: "hall" }], onlineCount: true };
/** Kept from being collected. */
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

answerCommands({ join });

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
  const right = [...shown.values()].filter((value) => value === count).length;
  return { joined, seconds, onlineEvents, right, lasted: (performance.now() - start) / 1000 };
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
      const seen = online ?? hello?.online;
      if (seen) shown.set(token, seen.users);
      if (room?.status !== "STATUS_JOINED") return;
      joined++;
      resolve();
    });
  });
}
