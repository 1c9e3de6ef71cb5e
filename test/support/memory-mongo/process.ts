import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { freePort } from "../ferretdb.ts";

/** The server in memory that speaks MongoDB's protocol, as a process: see server.ts. */
export class MemoryMongo {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
  }

  /** Starts an empty server on a port, by default a free one, and waits until it listens. */
  static async start(at?: number): Promise<MemoryMongo> {
    const port = at ?? (await freePort());
    const program = join(import.meta.dirname, "server.ts");
    const child = spawn(process.execPath, [program, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
    await Promise.race([
      once(child.stdout, "data"),
      once(child, "exit").then(() => Promise.reject(new Error("the server in memory did not start"))),
    ]);
    return new MemoryMongo(port, child);
  }

  /** The URL of a database. */
  url(database: string): string {
    return `mongodb://127.0.0.1:${this.port}/${database}?directConnection=true`;
  }

  /** Stops it, and loses its data. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exit;
  }
}
