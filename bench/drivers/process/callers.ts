/** Calls a server in a closed loop, or at a steady rate. */
import { Histogram, sharedMicroseconds } from "../../measure/histogram.ts";
import { serveCommands } from "../../process/commands.ts";
import { RawCaller } from "../../sockets/raw-caller.ts";
import { marker, stampLength } from "../../workload/message.ts";

/** Calls to repeat on several connections. */
export interface ClosedLoop {
  readonly port: number;
  /** Requests to send round-robin: complete HTTP requests, in base64. */
  readonly requests: readonly string[];
  readonly connections: number;
  readonly durationMs: number;
}

/** Calls at a steady rate. */
export interface OpenLoop extends ClosedLoop {
  readonly perSecond: number;
}

/** The result of many calls. */
export interface CallResult {
  readonly calls: number;
  readonly seconds: number;
  /** Times from the call to its response, as the counts of a Histogram. */
  readonly times: number[];
  /** The fraction of a core that this process used. */
  readonly busy: number;
}

serveCommands({ closedLoop, openLoop });

async function closedLoop({ port, requests, connections, durationMs }: ClosedLoop): Promise<CallResult> {
  const buffers = requests.map((text) => Buffer.from(text, "base64"));
  const callers = await openCallers(port, connections);
  const times = new Histogram();
  let calls = 0;
  const finish = startMeasuring(times);
  const end = performance.now() + durationMs;
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
  return finish(calls);
}

/** The stamp of a message is the time when it is due, so that the wait for a free connection is part of its latency. */
async function openLoop({ port, requests, connections, durationMs, perSecond }: OpenLoop): Promise<CallResult> {
  const buffers = requests.map((text) => Buffer.from(text, "base64"));
  const stampAt = buffers.map((buffer) => buffer.indexOf(marker) + marker.length);
  const free = await openCallers(port, connections);
  const waiting: { request: Buffer; due: number }[] = [];
  const times = new Histogram();
  const total = Math.round((perSecond * durationMs) / 1000);
  const finish = startMeasuring(times);
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
      const index = sent % buffers.length;
      const request = Buffer.from(buffers[index] as Buffer);
      request.write(due.toString(16).padStart(stampLength, "0"), stampAt[index] as number, "latin1");
      waiting.push({ request, due });
      const caller = free.pop();
      if (caller) send(caller).catch((error: unknown) => (failed ??= error));
    }
  }
  while (free.length < connections && failed === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
  if (failed) throw failed;
  for (const caller of free) caller.close();
  return finish(total);
}

function openCallers(port: number, connections: number): Promise<RawCaller[]> {
  return Promise.all(Array.from({ length: connections }, () => RawCaller.open(port)));
}

function startMeasuring(times: Histogram): (calls: number) => CallResult {
  const cpu = process.cpuUsage();
  const start = performance.now();
  return (calls) => {
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    return { calls, seconds, times: times.toJSON(), busy: (user + system) / 1e6 / seconds };
  };
}
