/** One attack from beginning to end: a server, a healthy client, an attacker, and the measurements. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Flags, ServerProcess, tokenFor } from "../faults/server-process.ts";
import { issuerKey, KeyServer } from "../support/key-server.ts";
import type { AnswerCounts } from "./answers.ts";
import type { Attack } from "./attack.ts";
import { HealthyClient, type Sample, type Times, timesOf } from "./healthy.ts";
import { Process } from "./process.ts";
import { isWhole, phases } from "./size.ts";

/** What an attack did. Memory is resident memory, in MB. */
export interface Outcome {
  readonly before: Times;
  readonly during: Times;
  readonly memory: { readonly before: number; readonly peak: number; readonly after: number };
  readonly answers: AnswerCounts;
  /** What failed for the healthy client, in any phase. */
  readonly failures: readonly string[];
  /** Lines that the server logged as errors. */
  readonly errors: readonly string[];
}

/** Attackers yield the CPU to the server and the healthy client: a real attacker has a machine of its own. */
const attackerNice = 10;
const memoryPollMs = 50;
/** An attack has ended by then, or is broken. */
const deadlineMs = 120_000;
const warmUpMs = 500;

/** A server with a healthy client. */
class Stage {
  readonly server: ServerProcess;
  readonly url: string;
  readonly healthy: HealthyClient;
  /** The server of the key set, where tokens are verified by one. */
  readonly keys: KeyServer | undefined;
  readonly #folder: string;

  private constructor(
    server: ServerProcess,
    url: string,
    healthy: HealthyClient,
    keys: KeyServer | undefined,
    folder: string,
  ) {
    this.server = server;
    this.url = url;
    this.healthy = healthy;
    this.keys = keys;
    this.#folder = folder;
  }

  static async open(flags: Flags, tenant: string, byKeySet: boolean): Promise<Stage> {
    const folder = mkdtempSync(join(tmpdir(), "tidings-attack-"));
    const key = byKeySet ? await issuerKey("known") : undefined;
    const keys = key && (await KeyServer.start(key));
    const mint = key ? key.sign : tokenFor;
    const server = new ServerProcess({ data: folder, ...(keys ? { "jwt-jwks-url": keys.url } : {}), ...flags });
    const tokens = await Promise.all([
      mint({ sub: "healthy-ws", tenant, role: "user" }),
      mint({ sub: "healthy-connect", tenant, role: "user" }),
      mint({ sub: "healthy-backend", tenant, role: "service" }),
    ]);
    const url = await server.ready;
    const stage = new Stage(server, url, new HealthyClient(url, tokens), keys, folder);
    await stage.healthy.start();
    // Code that has never run is slow.
    await sleep(warmUpMs);
    await stage.healthy.stop();
    return stage;
  }

  get memory(): number {
    return Math.round(this.server.residentBytes / 1024 ** 2);
  }

  async close(): Promise<void> {
    await this.healthy.close();
    await this.server.kill();
    await this.keys?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

let shared: { readonly key: string; readonly stage: Stage } | undefined;

/** Opens a stage. In the short form, attacks with the same flags that follow one another share it. */
async function stageFor(flags: Flags, tenant: string, byKeySet: boolean): Promise<Stage> {
  const key = JSON.stringify([flags, tenant, byKeySet]);
  if (!isWhole && shared?.key === key && shared.stage.server.isAlive) return shared.stage;
  await closeStage();
  const stage = await Stage.open(flags, tenant, byKeySet);
  shared = { key, stage };
  return stage;
}

/** Closes the last stage. */
export async function closeStage(): Promise<void> {
  await shared?.stage.close();
  shared = undefined;
}

/** Carries out an attack. `flags` are added to its own. */
export async function carryOut(attack: Attack, flags: Flags = {}): Promise<Outcome> {
  const { healthyTenant = "acme", byKeySet = false, leastMs = 0 } = attack;
  const stage = await stageFor({ ...attack.flags, ...flags }, healthyTenant, byKeySet);
  const { server, healthy, keys } = stage;
  const attacker = new Process("attacker-process.ts", [attack.name, stage.url], attackerNice);
  const logged = server.log.length;
  let peak = 0;
  const polling = setInterval(() => {
    if (server.isAlive) peak = Math.max(peak, stage.memory);
  }, memoryPollMs);
  try {
    await attacker.call("prepare");
    const quiet = await phase(healthy, sleep(phases.before));
    const memoryBefore = stage.memory;
    peak = memoryBefore;
    const running = attacker.call<AnswerCounts>("run");
    const loud = await phase(healthy, during(running, attacker, Math.max(phases.during, leastMs)));
    const answers = { ...(await running), ...(keys ? { "key set fetched": { count: keys.requests } } : {}) };
    await attacker.kill();
    clearInterval(polling);
    await sleep(phases.after);
    const memory = { before: memoryBefore, peak, after: stage.memory };
    const failures = [...quiet.failures, ...loud.failures];
    const errors = server.log.slice(logged).split("\n").filter(isError);
    return { before: timesOf(quiet), during: timesOf(loud), memory, answers, failures, errors };
  } catch (error) {
    // The next attack must not meet a server that this one has ended.
    await closeStage();
    throw new Error(`${attack.name}: ${error}\n${server.log.slice(logged, logged + 2_000)}`, { cause: error });
  } finally {
    clearInterval(polling);
    await attacker.kill();
  }
}

/** Measures while a promise is pending. */
async function phase(healthy: HealthyClient, pending: Promise<unknown>): Promise<Sample> {
  await healthy.start();
  await pending;
  return healthy.stop();
}

/** Lets an attack last for its time, and longer where it needs that to finish. */
async function during(running: Promise<AnswerCounts>, attacker: Process, leastMs: number): Promise<void> {
  await Promise.race([sleep(leastMs), running.then(() => sleep(leastMs))]);
  attacker.tell("end");
  const late = setTimeout(() => void attacker.kill(), deadlineMs);
  await running.finally(() => clearTimeout(late));
}

function isError(line: string): boolean {
  return line.startsWith("{") && (JSON.parse(line) as { level: number }).level >= 50;
}
