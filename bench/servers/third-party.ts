/** Other push servers, which are measured when their programs are on the PATH. */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { postRequest, RawCaller } from "../sockets/raw-caller.ts";
import { markedText } from "../workload/message.ts";
import type { Sender } from "./servers.ts";

/** As long as an event of the other servers. */
const message = markedText(200);

/** The path of a program on the PATH; undefined when it is not there. */
export function findProgram(name: string): string | undefined {
  return (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** A running program with a temporary folder, which is removed when the program ends. */
class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;

  constructor(path: string, args: (folder: string) => string[], environment: Readonly<Record<string, string>> = {}) {
    this.#folder = mkdtempSync(join(tmpdir(), "tidings-bench-"));
    const env = { ...process.env, ...environment };
    this.#child = spawn(path, args(this.#folder), { stdio: "ignore", env });
    this.#child.on("error", () => {});
  }

  /** The CPU time of all its threads so far, in µs, from the first field of each schedstat, which is in ns (proc(5)). */
  async cpu(): Promise<number> {
    const tasks = `/proc/${this.#child.pid}/task`;
    const times = readdirSync(tasks).map((task) =>
      Number(readFileSync(join(tasks, task, "schedstat"), "utf8").split(" ")[0]),
    );
    return times.reduce((sum, time) => sum + time, 0) / 1000;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    if (this.#child.exitCode === null && this.#child.kill("SIGTERM")) await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Starts NATS with core subjects, which are not stored. */
export async function startNats(path: string): Promise<Sender> {
  const port = await freePort();
  const program = new Program(path, (folder) => {
    const file = join(folder, "nats.conf");
    writeFileSync(file, `host: 127.0.0.1\nport: ${port}\nping_interval: "1h"\n`);
    return ["-c", file];
  });
  const socket = await dial(port);
  socket.write('CONNECT {"verbose":false}\r\n');
  const publish = `PUB bench ${message.length}\r\n${message}\r\n`;
  return sender(port, program, async (count) => {
    socket.write(publish.repeat(count));
  });
}

/** Starts Centrifugo, version 5 or 6, in its insecure mode and with a channel without history. */
export async function startCentrifugo(path: string): Promise<Sender> {
  const port = await freePort();
  const program = new Program(path, () => [], {
    CENTRIFUGO_ADDRESS: "127.0.0.1",
    CENTRIFUGO_PORT: String(port),
    CENTRIFUGO_CLIENT_INSECURE: "true",
    CENTRIFUGO_API_INSECURE: "true",
    CENTRIFUGO_PING_INTERVAL: "1h",
    // The same for version 6.
    CENTRIFUGO_HTTP_SERVER_ADDRESS: "127.0.0.1",
    CENTRIFUGO_HTTP_SERVER_PORT: String(port),
    CENTRIFUGO_HTTP_API_INSECURE: "true",
    CENTRIFUGO_CLIENT_PING_INTERVAL: "1h",
  });
  (await dial(port)).destroy();
  const caller = await RawCaller.open(port);
  const publish = { publish: { channel: "bench", data: { text: message } } };
  return sender(port, program, async (count) => {
    const body = JSON.stringify({ commands: Array.from({ length: count }, () => publish) });
    await caller.call(postRequest("/api/batch", "application/json", Buffer.from(body)));
  });
}

function sender(port: number, program: Program, send: Sender["send"]): Sender {
  return { port, cpu: () => program.cpu(), send, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Connects to a program that is starting. Rejects when it does not listen within 10 s. */
async function dial(port: number): Promise<Socket> {
  for (let attempt = 0; ; attempt++) {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    try {
      await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      socket.on("error", () => {}).resume();
      return socket;
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
