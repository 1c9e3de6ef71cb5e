/** A server that counts what it does. It runs the commands of bench/process/commands.ts. */
import { createHook } from "node:async_hooks";
import { readFileSync } from "node:fs";
import { MessagePort, Worker } from "node:worker_threads";
import { serveCommands } from "../../bench/process/commands.ts";
import { createTidings } from "../../src/server.ts";

/** What the process has done since its start. Names in the table of the test. */
export interface Counters {
  /** Bytes of objects on V8's heap. Only growth between two collections counts. */
  readonly heapBytes: number;
  /** Bytes of buffers outside of the heap, likewise. */
  readonly bufferBytes: number;
  /** Buffers made by `Buffer.alloc`, `from`, `concat` and their like. */
  readonly buffers: number;
  /** Messages to threads. */
  readonly threadMessages: number;
  /** System calls that read or write, on files, sockets and event descriptors, by all threads; NaN where there is no /proc. */
  readonly readsAndWrites: number;
  /** Promises; 0 while `watch` is off. */
  readonly promises: number;
  /** Timeouts and immediates; 0 while `watch` is off. */
  readonly timers: number;
}

let buffers = 0;
let threadMessages = 0;
let promises = 0;
let timers = 0;

for (const name of ["alloc", "allocUnsafe", "allocUnsafeSlow", "from", "concat"] as const) {
  const make: (...args: never) => unknown = Buffer[name];
  Object.assign(Buffer, {
    [name]: (...args: never) => {
      buffers++;
      return make.apply(Buffer, args);
    },
  });
}
for (const { prototype } of [Worker, MessagePort]) {
  const post: (...args: never) => unknown = prototype.postMessage;
  Object.assign(prototype, {
    postMessage(this: unknown, ...args: never) {
      threadMessages++;
      return post.apply(this, args);
    },
  });
}
const hook = createHook({
  init(_id, type) {
    if (type === "PROMISE") promises++;
    else if (type === "Timeout" || type === "Immediate") timers++;
  },
});
const none = Number.POSITIVE_INFINITY;

serveCommands({ start, counters, collect, watch });

async function start({ secret, data }: { secret: string; data: string }): Promise<number> {
  const tidings = await createTidings({
    data,
    auth: { secret },
    // No heartbeats, no pacing and no limits: only what the test asks for is counted.
    heartbeatMs: 3_600_000,
    maxStreamsPerUser: 1_000_000,
    admission: { perSecond: 1_000_000, burst: 1_000_000 },
    limits: { callsPerUser: none, newStreamsPerUser: none, publishesPerUser: none, bytesPerUser: none },
  });
  return (await tidings.listen({ port: 0 })).port;
}

/** Reads the counters at the end of the event-loop tick. */
function counters(): Counters {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return {
    heapBytes: heapUsed,
    bufferBytes: arrayBuffers,
    buffers,
    threadMessages,
    readsAndWrites: readsAndWrites(),
    promises,
    timers,
  };
}

function readsAndWrites(): number {
  try {
    const text = readFileSync("/proc/self/io", "utf8");
    return Number(/syscr: (\d+)/.exec(text)?.[1]) + Number(/syscw: (\d+)/.exec(text)?.[1]);
  } catch {
    return Number.NaN;
  }
}

function collect(): void {
  globalThis.gc?.();
}

/** Counts promises and timers, or stops to: watching costs memory. */
function watch(on: boolean): void {
  if (on) hook.enable();
  else hook.disable();
}
