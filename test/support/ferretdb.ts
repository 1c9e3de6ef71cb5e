/** A MongoDB-protocol server of a test's own: FerretDB on a free port, with its own folder. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { MongoClient } from "mongodb";
import { makeFolder } from "./store-sqlite.ts";
import { findTool, type Tool } from "./tools.ts";

/** The program: the one that TIDINGS_TEST_FERRETDB names, the one in Go's folder, or the one on PATH. */
export const ferretdb: Tool = findFerret();

function findFerret(): Tool {
  const name = "ferretdb";
  const hint = "cd test/support/ferretdb && go build -o $(go env GOPATH)/bin/ferretdb .";
  const named = process.env.TIDINGS_TEST_FERRETDB;
  if (named) return { name, hint, path: named };
  const built = join(goPath(), "bin", name);
  return existsSync(built) ? { name, hint, path: built } : findTool(name, hint);
}

function goPath(): string {
  try {
    return execFileSync("go", ["env", "GOPATH"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "/";
  }
}

/** A port that nobody uses at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** A server that can be stopped, paused and started again on the same data. */
export class Ferret {
  readonly port: number;
  readonly #program: string;
  readonly #folder = makeFolder();
  #child: ChildProcess | undefined;

  private constructor(program: string, port: number) {
    this.#program = program;
    this.port = port;
  }

  /** Starts one, and waits until it answers. */
  static async start(program: string): Promise<Ferret> {
    const ferret = new Ferret(program, await freePort());
    await ferret.start();
    return ferret;
  }

  /** The address of a database. Few connections, for those that write at once slow each other down. */
  static url(port: number, database: string): string {
    return `mongodb://127.0.0.1:${port}/${database}?maxPoolSize=3`;
  }

  url(database: string): string {
    return Ferret.url(this.port, database);
  }

  /** Starts it on its data. */
  async start(): Promise<void> {
    // It scans, and most of that is garbage: collecting it less often doubles its speed.
    const env = { ...process.env, GOGC: "800" };
    const child = spawn(this.#program, [this.#folder, `127.0.0.1:${this.port}`], { stdio: "ignore", env });
    this.#child = child;
    const client = new MongoClient(this.url("admin"), { serverSelectionTimeoutMS: 15_000 });
    try {
      await client.db().command({ ping: 1 });
    } finally {
      await client.close();
    }
    if (child.exitCode !== null) throw new Error("the server did not start");
  }

  /** SIGSTOP and SIGCONT for a server that hangs, SIGKILL for one that dies. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Ends it; its data stay. */
  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }

  /** Ends it and removes its data. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
