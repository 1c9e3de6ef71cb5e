/** A server as an operator runs it: the command line in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { mintToken, type TokenClaims } from "../../src/auth/mint-token.ts";
import { root } from "../support/run.ts";

/** HS256 secret of the servers. */
export const secret = "4c7d1f0b9e2a8365d0fb47129ace5836";

/** A token for an hour and a half: no run lasts longer. */
export function tokenFor(claims: Omit<TokenClaims, "exp">): Promise<string> {
  return mintToken(secret, { ...claims, exp: Math.floor(Date.now() / 1000) + 5_400 });
}

/** Flags of `serve`, such as `{ data: "/tmp/x", port: "0", "stall-timeout": "1s" }`. */
export type Flags = Readonly<Record<string, string>>;

/** One process. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  readonly #ready = Promise.withResolvers<string>();
  /** What it wrote to stderr: its log. */
  log = "";

  /** Starts it, on any free port unless one is given. */
  constructor(flags: Flags) {
    const all = { port: "0", "log-level": "warn", "retention-count": "1000000", ...flags };
    const args = Object.entries(all).map(([name, value]) => `--${name}=${value}`);
    this.#child = spawn(process.execPath, [join(root, "src/cli/main.ts"), "serve", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      // Only this: the variables that steer the tests are unknown options to the server.
      env: { PATH: process.env.PATH, TIDINGS_JWT_SECRET: secret, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE },
    });
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) throw new Error("no pipes");
    stderr.setEncoding("utf8").on("data", (text: string) => (this.log += text));
    createInterface({ input: stdout }).once("line", (line) => {
      this.#ready.resolve((JSON.parse(line) as { address: string }).address);
    });
    this.#exit = once(this.#child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
    this.#exit.then(() => this.#ready.reject(new Error(`the server ended before it was ready: ${this.log}`)));
    // Whoever kills a server while it starts does not ask.
    this.#ready.promise.catch(() => {});
  }

  /** Its address, once it serves. Rejects when it ends before. */
  get ready(): Promise<string> {
    return this.#ready.promise;
  }

  /** Ids of the processes that it has started: its workers, in the order in which they began. */
  get children(): number[] {
    const { pid } = this.#child;
    const ids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return ids === "" ? [] : ids.split(" ").map(Number);
  }

  /** What the process has in memory, in bytes. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  /** Whether it has not ended. */
  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Makes it stand still, connections open, until the returned function is called. */
  freeze(): () => void {
    this.#child.kill("SIGSTOP");
    return () => void this.#child.kill("SIGCONT");
  }

  /** Ends it without a word, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exit;
  }

  /** Asks it to drain, and answers with its exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    const [code] = await this.#exit;
    return code;
  }
}
