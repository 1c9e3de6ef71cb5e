/** Calls a server as fast as it answers, or at a steady rate. */
import { answerCommands } from "../commands.ts";
import { Histogram, sharedMicroseconds } from "../histogram.ts";
import { marker, stampLength } from "../message.ts";
import { RawCaller } from "./raw-caller.ts";

/** Calls to repeat from each of some connections. */
export interface Load {
  readonly port: number;
  /** Requests in turn, each ready to write, in base64. */
  readonly requests: readonly string[];
  readonly connections: number;
  readonly milliseconds: number;
}

/** Calls at a steady rate, whether or not the server keeps up. */
export interface Pace extends Load {
  readonly perSecond: number;
}

/** What came of it. */
export interface Loaded {
  readonly calls: number;
  readonly seconds: number;
  /** From the call to its answer; a Histogram. */
  readonly times: number[];
  /** Of a core, by this process. */
  readonly busy: number;
}

answerCommands({ load, pace });

async function load({ port, requests, connections, milliseconds }: Load): Promise<Loaded> {
  const buffers = requests.map((text) => Buffer.from(text, "base64"));
  const callers = await openCallers(port, connections);
  const times = new Histogram();
  let calls = 0;
  const loaded = startMeter(times);
  const end = performance.now() + milliseconds;
  await Promise.all(
    callers.map(async (caller) => {
      while (performance.now() < end) {
        const sent = sharedMicroseconds();
        await caller.call(buffers[calls++ % buffers.length] as Buffer);
        times.add(sharedMicroseconds() - sent);
      }
    }),
  );
  for (const caller of callers) caller.close();
  return loaded(calls);
}

/** Each message is stamped when it is due, so that waiting for a free connection counts as well. */
async function pace({ port, requests, connections, milliseconds, perSecond }: Pace): Promise<Loaded> {
  const buffers = requests.map((text) => Buffer.from(text, "base64"));
  const stampAt = buffers.map((buffer) => buffer.indexOf(marker) + marker.length);
  const free = await openCallers(port, connections);
  const waiting: { request: Buffer; due: number }[] = [];
  const times = new Histogram();
  const total = Math.round((perSecond * milliseconds) / 1000);
  const loaded = startMeter(times);
  let failed: unknown;
  const send = async (idle: RawCaller): Promise<void> => {
    const caller = idle.closed ? await RawCaller.open(port) : idle;
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      await caller.call(next.request);
      times.add(sharedMicroseconds() - next.due);
    }
    free.push(caller);
  };
  const start = performance.now();
  for (let sent = 0; sent < total; ) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    for (; sent < total && performance.now() - start >= (sent * 1000) / perSecond; sent++) {
      const due = sharedMicroseconds();
      const which = sent % buffers.length;
      const request = Buffer.from(buffers[which] as Buffer);
      request.write(due.toString(16).padStart(stampLength, "0"), stampAt[which] as number, "latin1");
      waiting.push({ request, due });
      const caller = free.pop();
      if (caller) send(caller).catch((error: unknown) => (failed ??= error));
    }
  }
  while (free.length < connections && failed === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
  if (failed) throw failed;
  for (const caller of free) caller.close();
  return loaded(total);
}

function openCallers(port: number, connections: number): Promise<RawCaller[]> {
  return Promise.all(Array.from({ length: connections }, () => RawCaller.open(port)));
}

function startMeter(times: Histogram): (calls: number) => Loaded {
  const cpu = process.cpuUsage();
  const start = performance.now();
  return (calls) => {
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    return { calls, seconds, times: times.toJSON(), busy: (user + system) / 1e6 / seconds };
  };
}
