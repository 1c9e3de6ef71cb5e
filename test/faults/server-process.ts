/** A server as an operator runs it: `tidings serve` in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { mintToken, type TokenClaims } from "../../src/auth/mint-token.ts";
import { root } from "../support/run.ts";

/** The HS256 secret of the servers. */
export const secret = "4c7d1f0b9e2a8365d0fb47129ace5836";

/** A token that is valid for an hour and a half, longer than any run. */
export function tokenFor(claims: Omit<TokenClaims, "exp">): Promise<string> {
  return mintToken(secret, { ...claims, exp: Math.floor(Date.now() / 1000) + 5_400 });
}

/** Flags of `serve`, such as `{ data: "/tmp/x", port: "0", "stall-timeout": "1s" }`. */
export type Flags = Readonly<Record<string, string>>;

/** One server process. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  readonly #ready = Promise.withResolvers<string>();
  /** Its log: the text that it wrote to stderr. */
  log = "";

  /** Starts a server, on any free port unless the flags have one. `env` is added to its environment. */
  constructor(flags: Flags, env: Readonly<Record<string, string>> = {}) {
    const all = { port: "0", "log-level": "warn", "retention-count": "1000000", ...flags };
    const args = Object.entries(all).map(([name, value]) => `--${name}=${value}`);
    this.#child = spawn(process.execPath, [join(root, "src/cli/main.ts"), "serve", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      // The server refuses unknown TIDINGS_* variables, so it does not get those of the tests.
      env: {
        PATH: process.env.PATH,
        NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
        ...env,
        ...("jwt-jwks-url" in flags ? {} : { TIDINGS_JWT_SECRET: secret }),
      },
    });
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) throw new Error("no pipes");
    stderr.setEncoding("utf8").on("data", (text: string) => (this.log += text));
    createInterface({ input: stdout }).once("line", (line) => {
      this.#ready.resolve((JSON.parse(line) as { address: string }).address);
    });
    this.#exit = once(this.#child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
    this.#exit.then(() => this.#ready.reject(new Error(`the server ended before it was ready: ${this.log}`)));
    // A test that kills a server during its start does not wait for `ready`.
    this.#ready.promise.catch(() => {});
  }

  /** Its URL, when it accepts connections. Rejects when it ends before. */
  get ready(): Promise<string> {
    return this.#ready.promise;
  }

  /** The ids of its child processes, which are its workers, in the order of their start. */
  get children(): number[] {
    const { pid } = this.#child;
    const ids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return ids === "" ? [] : ids.split(" ").map(Number);
  }

  /** Its resident memory, in bytes. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  /** Whether it is running. */
  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Pauses the process (SIGSTOP), with its connections open, until the returned function is called. */
  freeze(): () => void {
    this.#child.kill("SIGSTOP");
    return () => void this.#child.kill("SIGCONT");
  }

  /** Kills the process and waits until it has ended. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exit;
  }

  /** Drains the server and resolves with its exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    const [code] = await this.#exit;
    return code;
  }
}
