/** FerretDB, a server of MongoDB's protocol, which a test starts on a free port and in a folder of its own. */
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

/** A port that is free at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** A server that can be stopped, suspended and started again on the same data. */
export class Ferret {
  readonly port: number;
  readonly #program: string;
  readonly #folder = makeFolder();
  #child: ChildProcess | undefined;

  private constructor(program: string, port: number) {
    this.#program = program;
    this.port = port;
  }

  /** Starts a server without data, and waits until it answers. */
  static async start(program: string): Promise<Ferret> {
    const ferret = new Ferret(program, await freePort());
    await ferret.start();
    return ferret;
  }

  /**
   * The URL of a database on a port. It limits the pool, because connections that write at once slow each other down.
   */
  static url(port: number, database: string): string {
    return `mongodb://127.0.0.1:${port}/${database}?maxPoolSize=3`;
  }

  /** The URL of a database. */
  url(database: string): string {
    return Ferret.url(this.port, database);
  }

  /** Starts it on its data, and waits until it answers. */
  async start(): Promise<void> {
    // Scans make much garbage: collecting it less often doubles the speed.
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

  /** Sends a signal: SIGSTOP and SIGCONT for a server that hangs, SIGKILL for one that dies. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Stops it, and keeps its data. */
  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }

  /** Stops it, and removes its data. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
