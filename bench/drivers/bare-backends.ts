/** What MongoDB and Redis take by themselves: a document is inserted, then published, then heard. */
import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import { answerCommands } from "../commands.ts";
import { Histogram, sharedMicroseconds } from "../histogram.ts";

/** Where they are. */
export interface BackendUrls {
  readonly store: string;
  readonly bus: string;
}

/** How much to do; at so low a rate that nothing waits. */
export interface BarePace {
  readonly perSecond: number;
  readonly milliseconds: number;
}

/** Of an everyday message with what a store keeps beside it. */
const body = Buffer.alloc(250, 1);
const channel = "bare";

let insert: () => Promise<unknown>;
let publish: (at: number) => Promise<unknown>;
let heard: (at: number) => void = () => {};

answerCommands({ open, pace });

async function open({ store, bus }: BackendUrls): Promise<void> {
  const client = await new MongoClient(store, { retryWrites: false }).connect();
  const documents = client.db().collection("bare");
  insert = () => documents.insertOne({ body }, { writeConcern: { w: "majority" } });
  const [commands, subscriber] = [new Redis(bus), new Redis(bus)];
  await subscriber.subscribe(channel);
  subscriber.on("message", (_channel, text) => heard(Number(text)));
  publish = (at) => commands.publish(channel, String(at));
}

/** How long each took; a Histogram. */
async function pace({ perSecond, milliseconds }: BarePace): Promise<number[]> {
  const times = new Histogram();
  const total = Math.round((perSecond * milliseconds) / 1000);
  const all = Promise.withResolvers<void>();
  let left = total;
  heard = (at) => {
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
