/**
 * The healthy client, in a process of its own: a service that publishes to two users, whose streams over WebSocket and
 * Connect receive, and a user who lists now and then.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { WebSocket } from "ws";
import { Kind, PushService } from "../../src/gen.ts";
import type { Sample } from "./healthy.ts";
import { serve } from "./process.ts";

/** Time between two publishes, in ms. */
const publishMs = 40;
/** Each of these publishes is followed by a ListUnread. */
const publishesPerList = 5;
/** A delivery that takes longer counts as lost. */
const lostMs = 30_000;

const [url = "", wsToken = "", connectToken = "", serviceToken = ""] = process.argv.slice(2);
const connectHeaders = { authorization: `Bearer ${connectToken}` };
const serviceHeaders = { authorization: `Bearer ${serviceToken}` };
const publisher = createClient(PushService, createGrpcTransport({ baseUrl: url }));
const reader = createClient(PushService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));

/** Settles the delivery of a title over a transport. */
const waiting = new Map<string, () => void>();
const arrived = (transport: string, title: string) => waiting.get(`${transport} ${title}`)?.();

let deliveries: number[] = [];
let lists: number[] = [];
let failures: string[] = [];
let running: Promise<void> = Promise.resolve();
let stopped = false;

/** Measures from the time at which the work was due, so that a stalled server is not asked less. */
async function timed(times: number[], due: number, work: Promise<unknown>): Promise<void> {
  try {
    await work;
    times.push(performance.now() - due);
  } catch (error) {
    failures.push(String(error));
  }
}

async function delivery(transport: string, title: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const key = `${transport} ${title}`;
  const late = setTimeout(() => reject(new Error(`nothing delivered over ${transport} in ${lostMs} ms`)), lostMs);
  waiting.set(key, resolve);
  await promise.finally(() => {
    clearTimeout(late);
    waiting.delete(key);
  });
}

async function publish(title: string): Promise<void> {
  const audience = { to: { case: "users" as const, value: { userIds: ["healthy-ws", "healthy-connect"] } } };
  await publisher.publish({ audience, message: { kind: Kind.EVENT, title } }, { headers: serviceHeaders });
}

async function run(): Promise<void> {
  const work: Promise<void>[] = [];
  let due = performance.now();
  for (let number = 0; !stopped; number++) {
    const title = `${due}`;
    for (const transport of ["ws", "connect"]) work.push(timed(deliveries, due, delivery(transport, title)));
    work.push(timed([], due, publish(title)));
    if (number % publishesPerList === 0)
      work.push(timed(lists, due, reader.listUnread({}, { headers: connectHeaders })));
    due += publishMs;
    await sleep(Math.max(0, due - performance.now()));
  }
  await Promise.all(work);
}

async function openStreams(): Promise<void> {
  const caughtUp = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, "tidings.v1.json");
  socket.on("open", () => socket.send(JSON.stringify({ token: wsToken, subscribe: {} })));
  socket.on("message", (data) => {
    const event = JSON.parse(String(data)) as { caughtUp?: object; message?: { title: string } };
    if (event.caughtUp) caughtUp[0].resolve();
    if (event.message) arrived("ws", event.message.title);
  });
  socket.on("error", (error) => failures.push(`the WebSocket failed: ${error}`));
  socket.on("close", (code, reason) => failures.push(`the WebSocket was closed: ${code} ${reason}`));
  void follow(reader, caughtUp[1].resolve);
  await Promise.all(caughtUp.map(({ promise }) => promise));
}

async function follow(client: Client<typeof PushService>, caughtUp: () => void): Promise<void> {
  try {
    for await (const { event } of client.subscribe({}, { headers: connectHeaders })) {
      if (event.case === "caughtUp") caughtUp();
      if (event.case === "message") arrived("connect", event.value.title);
    }
    failures.push("the stream ended");
  } catch (error) {
    failures.push(`the stream failed: ${error}`);
  }
}

await openStreams();
serve({
  start: () => {
    [deliveries, lists, failures, stopped] = [[], [], [], false];
    running = run();
    return true;
  },
  stop: async (): Promise<Sample> => {
    stopped = true;
    await running;
    return { deliveries, lists, failures };
  },
});
