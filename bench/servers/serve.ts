import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Caller, rawRequest } from "../sockets/raw-caller.ts";
import { publishBody, publishTo } from "../workload/message.ts";
import { benchSecret, benchTenant, serviceToken } from "../workload/tokens.ts";
import { dial, freePort, Program } from "./program.ts";
import type { Sender, Unicaster } from "./servers.ts";

/** `tidings serve`, whose threads can be told apart. */
export interface Served extends Sender, Unicaster {
  /** The CPU time of each thread so far, in µs, by id. */
  threads(): ReadonlyMap<string, number>;
}

/** Until its threads listen, the first thread holds the port, and resets what connects. */
async function untilReady(port: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      if ((await fetch(`http://127.0.0.1:${port}/readyz`)).ok) return;
    } catch (error) {
      if (tries > 200) throw error;
    }
    await sleep(100);
  }
}

/** Starts `tidings serve` with this number of event loops, on the embedded store. Rejects when it cannot have them. */
export async function startServe(workers: number): Promise<Served> {
  const port = await freePort();
  const main = join(import.meta.dirname, "../../src/cli/main.ts");
  const program = new Program(process.execPath, (data) => [main, "serve", "--data", data], {
    TIDINGS_JWT_SECRET: benchSecret,
    TIDINGS_PORT: String(port),
    TIDINGS_WORKERS: String(workers),
    // As in the other tables: no heartbeats, and no pacing of new streams.
    TIDINGS_HEARTBEAT: "1h",
    TIDINGS_NEW_STREAMS_PER_SECOND: "1000000",
  });
  try {
    (await dial(port, program)).destroy();
    await untilReady(port);
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
  const token = await serviceToken();
  const caller = new Caller(port);
  const send = rawRequest("Publish", token, publishBody(publishTo({ tenant: benchTenant })));
  const toNobody = rawRequest("Publish", token, publishBody(publishTo({ user: "nobody" })));
  return {
    port,
    cpu: () => program.cpu(),
    resident: () => program.resident(),
    threads: () => program.threads(),
    publishRequest: (user) => rawRequest("Publish", token, publishBody(publishTo({ user }))),
    async send() {
      await caller.call(send);
    },
    async warmUp(times) {
      for (let count = 0; count < times; count++) await caller.call(toNobody);
    },
    async [Symbol.asyncDispose]() {
      caller.close();
      await program[Symbol.asyncDispose]();
    },
  };
}
