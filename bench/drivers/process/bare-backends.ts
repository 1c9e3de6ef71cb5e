/** The latency of MongoDB and Redis alone: insert a document, publish a message, receive it. */
import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import { Histogram, sharedMicroseconds } from "../../measure/histogram.ts";
import { serveCommands } from "../../process/commands.ts";

/** The URLs of both servers. */
export interface BackendUrls {
  readonly store: string;
  readonly bus: string;
}

/** A load at a steady rate, low enough that messages do not queue. */
export interface BareLoad {
  readonly perSecond: number;
  readonly durationMs: number;
}

/** As large as a stored message of typical length. */
const body = Buffer.alloc(250, 1);
const channel = "bare";

let insert: () => Promise<unknown>;
let publish: (at: number) => Promise<unknown>;
let onMessage: (at: number) => void = () => {};

serveCommands({ open, openLoop });

async function open({ store, bus }: BackendUrls): Promise<void> {
  const client = await new MongoClient(store, { retryWrites: false }).connect();
  const documents = client.db().collection("bare");
  insert = () => documents.insertOne({ body }, { writeConcern: { w: "majority" } });
  const [commands, subscriber] = [new Redis(bus), new Redis(bus)];
  await subscriber.subscribe(channel);
  subscriber.on("message", (_channel, text) => onMessage(Number(text)));
  publish = (at) => commands.publish(channel, String(at));
}

/** Resolves with the latencies, as the counts of a Histogram. */
async function openLoop({ perSecond, durationMs }: BareLoad): Promise<number[]> {
  const times = new Histogram();
  const total = Math.round((perSecond * durationMs) / 1000);
  const all = Promise.withResolvers<void>();
  let left = total;
  onMessage = (at) => {
    times.add(sharedMicroseconds() - at);
    if (--left === 0) all.resolve();
  };
  const start = performance.now();
  for (let sent = 0; sent < total; ) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    for (; sent < total && performance.now() - start >= (sent * 1000) / perSecond; sent++) {
      const at = sharedMicroseconds();
      insert().then(() => publish(at), all.reject);
    }
  }
  await all.promise;
  return times.toJSON();
}
