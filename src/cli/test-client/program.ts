/** The client program under test: a child process that takes commands and prints lines of JSON. */
import { type ChildProcess, spawn } from "node:child_process";
import { StringDecoder } from "node:string_decoder";

/** A line that a program printed. */
export interface Line {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A line, with the time at which the kit read it. */
export interface Printed {
  /** In ms of the monotonic clock. */
  readonly at: number;
  readonly line: Line;
}

const maxStderr = 4_096;
/** The longest line in characters: more than the JSON of the largest message. A longer one is a fault, and not kept. */
const maxLine = 64 * 1024 * 1024;

/** One run of the program. */
export class Program {
  /** All lines so far. */
  readonly printed: Printed[] = [];
  /** The end of its stderr. */
  stderr = "";
  /** How it ended; undefined while it runs. */
  exit: { readonly code: number | null; readonly signal: string | null; readonly at: number } | undefined;
  /** Text on stdout that is no line of the protocol, and errors of the start. */
  readonly faults: string[] = [];
  readonly #child: ChildProcess;
  /** The line that has begun, in parts. */
  #open: string[] = [];
  #openLength = 0;
  readonly #ended: Promise<void>;

  /** Starts a command: a program and its arguments. `changed` is called after each line, and at the end. */
  constructor([file = "", ...args]: readonly string[], env: Readonly<Record<string, string>>, changed: () => void) {
    // A process group of its own, so that a wrapper such as npx ends together with the processes that it started.
    const child = spawn(file, args, {
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "pipe"],
      detached: process.platform !== "win32",
    });
    this.#child = child;
    child.stdin.on("error", () => {});
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr = (this.stderr + text).slice(-maxStderr);
    });
    const decoder = new StringDecoder();
    child.stdout.on("data", (chunk: Buffer) => {
      this.#split(decoder.write(chunk));
      changed();
    });
    this.#ended = new Promise((resolve) => {
      child.on("error", (error) => {
        this.faults.push(`the program did not start: ${error.message}`);
        this.exit ??= { code: null, signal: null, at: performance.now() };
        changed();
        resolve();
      });
      child.on("close", (code, signal) => {
        // The last line need not be ended.
        this.#split("\n");
        this.exit ??= { code, signal, at: performance.now() };
        changed();
        resolve();
      });
    });
  }

  /** Sends a command. */
  send(command: object): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /** Ends its stdin, after which it has to end. */
  endInput(): void {
    this.#child.stdin?.end();
  }

  /** Stops reading its output, so that its writes block once the pipe is full. */
  pause(): void {
    this.#child.stdout?.pause();
  }

  /** Reads its output again. */
  resume(): void {
    this.#child.stdout?.resume();
  }

  /** Kills it, with the processes that it started, which may live on when it has ended. */
  async kill(): Promise<void> {
    const { pid, stdin, stdout, stderr } = this.#child;
    try {
      if (pid !== undefined) process.kill(process.platform === "win32" ? pid : -pid, "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
    // A process that has left the group may still hold them, and the child counts as running until they are closed.
    for (const stream of [stdin, stdout, stderr]) stream?.destroy();
    await this.#ended;
  }

  #split(text: string): void {
    const [first = "", ...rest] = text.split("\n");
    this.#add(first);
    for (const next of rest) {
      if (this.#openLength > maxLine) this.faults.push(`printed a line of more than ${maxLine} characters`);
      else this.#read(this.#open.join(""));
      this.#open = [];
      this.#openLength = 0;
      this.#add(next);
    }
  }

  #add(part: string): void {
    this.#openLength += part.length;
    if (this.#openLength > maxLine) this.#open = [];
    else this.#open.push(part);
  }

  #read(text: string): void {
    if (text.trim() === "") return;
    let line: unknown;
    try {
      line = JSON.parse(text);
    } catch {
      // Reported below.
    }
    if (typeof line === "object" && line !== null && typeof (line as Line).type === "string") {
      this.printed.push({ at: performance.now(), line: line as Line });
    } else this.faults.push(`printed a line that is no object of JSON with a type: ${text.slice(0, 200)}`);
  }
}
