/** The stage of a scenario: one server, one program, and the means to wait for the program. */
import type { StreamCall, UnaryCall, UnaryName } from "./calls.ts";
import { type Line, Program } from "./program.ts";
import { KitServer } from "./server.ts";

/** The groups of scenarios: a library that only publishes, or only subscribes, is judged by its own. */
export type Group = "subscriber" | "publisher";

/** One scenario. */
export interface Scenario {
  /** As `--only` takes it. */
  readonly name: string;
  readonly group: Group;
  /** The number of the rule in docs/clients.md. */
  readonly rule: number;
  /** The rule that it tests, as one sentence. */
  readonly sentence: string;
  /** It takes long, and is started before the others. */
  readonly slow?: true;
  /** Rejects with a Failed when the program breaks the rule. */
  run(stage: Stage): Promise<void>;
}

/** The program broke the rule. The message names the expectation and the observation. */
export class Failed extends Error {}

/** The program does not know a command that the scenario needs. */
export class Unsupported extends Error {
  readonly command: string;

  constructor(command: string) {
    super(`the program does not support the command ${command}`);
    this.command = command;
  }
}

/** The states of a client. */
const states = [
  "idle",
  "authorizing",
  "connecting",
  "replaying",
  "live",
  "waiting",
  "held",
  "unauthorized",
  "paused",
  "closed",
];

/** Timers of the client and of the kit may differ by this, in ms: a timer may fire a millisecond early. */
const toleranceMs = 25;

/** The time in which a program has to end after its stdin, in ms. */
const endMs = 5_000;

/** One run of a scenario. */
export class Stage {
  readonly server: KitServer;
  /** The scenario makes the subscription or a call fail; in the others a final error is a failure. */
  expectsErrors = false;
  readonly #command: readonly string[];
  readonly #deadlineMs: number;
  #program: Program;
  readonly #waiting = new Set<() => void>();

  private constructor(command: readonly string[], deadlineMs: number, server: KitServer) {
    this.#command = command;
    this.#deadlineMs = deadlineMs;
    this.server = server;
    this.#program = this.#launch();
  }

  /** Starts a server and the program. `deadlineMs` is the longest wait for one step of the client. */
  static async start(command: readonly string[], deadlineMs: number): Promise<Stage> {
    let changed = () => {};
    const server = new KitServer(() => changed());
    await server.listen();
    const stage = new Stage(command, deadlineMs, server);
    changed = () => stage.#wake();
    return stage;
  }

  /** The program that runs now. */
  get program(): Program {
    return this.#program;
  }

  /** The time, in ms of the monotonic clock. */
  get now(): number {
    return performance.now();
  }

  /** Sends the program a command. */
  send(command: { readonly type: string; readonly [field: string]: unknown }): void {
    this.#program.send(command);
  }

  /** Makes the program subscribe, and returns its first stream. */
  subscribe(fields: object = {}): Promise<StreamCall> {
    this.send({ type: "subscribe", ...fields });
    return this.stream("a stream after the command subscribe");
  }

  /** The next stream that the program opens. */
  stream(expected = "another stream", atLeastMs = 0): Promise<StreamCall> {
    return this.until(() => this.server.takeStream(), expected, Math.max(atLeastMs, this.#deadlineMs));
  }

  /** The next call of a method. */
  call<N extends UnaryName>(method: N, expected = `a call of ${method}`): Promise<UnaryCall<N>> {
    return this.until(() => this.server.takeCall(method), expected);
  }

  /** The lines of a type that the program has printed. */
  lines(type: string): Line[] {
    return this.#program.printed.map(({ line }) => line).filter((line) => line.type === type);
  }

  /** The next line of a type, beyond the first `after` ones of it. */
  line(type: string, expected: string, after = 0): Promise<Line> {
    return this.until(() => this.lines(type)[after], expected);
  }

  /** The ids of the messages that the program has printed, in order. */
  get messageIds(): string[] {
    return this.lines("message").map(({ message }) => String((message as { id?: unknown } | undefined)?.id));
  }

  /** Waits until the program has printed the messages with these ids, and nothing else. */
  async messages(ids: readonly string[], expected: string): Promise<void> {
    await this.until(() => this.messageIds.length >= ids.length || undefined, expected);
    this.requireMessages(ids, expected);
  }

  /** Requires the messages with these ids so far, and nothing else. */
  requireMessages(ids: readonly string[], expected: string): void {
    const seen = this.messageIds;
    const wrong = seen.findIndex((id, index) => id !== ids[index]);
    if (wrong >= 0) throw new Failed(`${expected}; message ${wrong + 1} was ${seen[wrong]}, not ${ids[wrong]}`);
    if (seen.length < ids.length) throw new Failed(`${expected}; only ${seen.length} of ${ids.length} came`);
  }

  /** Requires that something is true, now. */
  require(isTrue: boolean, expected: string): void {
    if (!isTrue) throw new Failed(expected);
  }

  /** Requires that something did not happen before a time had passed. Both times are of the monotonic clock. */
  requireNotBefore(at: number, since: number, delayMs: number, what: string): void {
    const passed = at - since;
    if (passed < delayMs - toleranceMs) throw new Failed(`${what}; it came after ${Math.round(passed)} ms`);
  }

  /** Waits until `found` returns a value. Fails when the deadline passes, the program ends, or a program breaks the protocol. */
  async until<T>(found: () => T | undefined, expected: string, deadlineMs = this.#deadlineMs): Promise<T> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      const value = found();
      if (value !== undefined) return value;
      this.#requireRunning(expected);
      const left = deadline - performance.now();
      if (left <= 0) throw new Failed(`expected ${expected}; it did not come within ${deadlineMs / 1000} s`);
      await this.#change(left);
    }
  }

  /** Watches for some time that `found` returns nothing. */
  async never(found: () => unknown, forMs: number, expected: string): Promise<void> {
    const end = performance.now() + forMs;
    for (let left = forMs; left > 0; left = end - performance.now()) {
      if (found() !== undefined) throw new Failed(expected);
      await this.#change(left);
    }
  }

  /** Lets some time pass. */
  async pass(milliseconds: number): Promise<void> {
    await this.never(() => undefined, milliseconds, "");
  }

  /** Ends the program, which then has to exit by itself, and starts another one. */
  async restart(): Promise<void> {
    await this.finish();
    this.#program = this.#launch();
  }

  /** Ends the stdin of the program, and requires that it exits with 0. */
  async finish(): Promise<void> {
    const program = this.#program;
    program.endInput();
    const deadline = performance.now() + Math.max(endMs, this.#deadlineMs);
    while (program.exit === undefined) {
      const left = deadline - performance.now();
      if (left <= 0) throw new Failed("the program has to end within 5 s after the end of its stdin; it still runs");
      await this.#change(left);
    }
    const { code, signal } = program.exit;
    if (code !== 0)
      throw new Failed(`the program has to exit with 0 after the end of its stdin, not ${code ?? signal}`);
  }

  /** The last lines that the program printed, and the first and the last lines of its stderr, for a person who looks for the cause. */
  get trace(): string[] {
    const { printed, stderr } = this.#program;
    const [first] = printed;
    const since = (at: number) => `${((at - (first?.at ?? at)) / 1000).toFixed(2).padStart(7)} s`;
    const lines = printed.slice(-12).map(({ at, line }) => `${since(at)}  ${JSON.stringify(line).slice(0, 160)}`);
    const errors =
      stderr.trim() === ""
        ? []
        : stderr
            .trim()
            .split("\n")
            // A stack trace names its error in the first line in Java, and in the last one in Python.
            .filter((_, index, { length }) => index < 4 || index >= length - 6)
            .map((text) => `stderr: ${text.replaceAll("\t", "  ")}`);
    return [...lines, ...errors];
  }

  /** Kills the program, and stops the server. */
  async stop(): Promise<void> {
    await this.#program.kill();
    this.server.close();
  }

  /** Requires that the program has kept to the protocol of the kit, and that no call was nonsense. */
  requireSound(): void {
    const unknown = this.lines("state").find(({ state }) => !states.includes(String(state)));
    if (unknown !== undefined) throw new Failed(`the program printed the state ${unknown.state}, which no client has`);
    const [fault] = [...this.server.faults, ...this.#program.faults];
    if (fault !== undefined) throw new Failed(`the program ${fault.replace(/^the program /, "")}`);
    const unsupported = this.lines("unsupported")[0];
    if (unsupported !== undefined) throw new Unsupported(String(unsupported.command));
  }

  #launch(): Program {
    const env = { TIDINGS_URL: this.server.url, TIDINGS_TOKEN_URL: this.server.tokenUrl };
    return new Program(this.#command, env, () => this.#wake());
  }

  #requireRunning(expected: string): void {
    this.requireSound();
    const error = this.lines("error").find(({ final }) => final === true);
    if (error && !this.expectsErrors) {
      const { code, reason, message } = error;
      const cause = [code, reason, message].filter((part) => part !== undefined && part !== "").join(" ");
      throw new Failed(
        `expected ${expected}; the ${error.id === undefined ? "subscription" : "call"} failed with ${cause}`,
      );
    }
    const { exit } = this.#program;
    if (exit === undefined) return;
    throw new Failed(`expected ${expected}; the program ended with ${exit.code ?? exit.signal ?? "no code"} before`);
  }

  /** Resolves with the next change, or after a time. */
  #change(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.#waiting.add(done);
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}
