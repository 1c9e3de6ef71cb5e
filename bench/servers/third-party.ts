/** Other push servers, which are measured when their programs are there. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Caller, postRequest } from "../sockets/raw-caller.ts";
import { markedText, textLength } from "../workload/message.ts";
import { dial, findProgram, freePort, Program } from "./program.ts";
import type { Sender, Unicaster } from "./servers.ts";

const message = markedText(textLength);

/** Starts NATS with core subjects, which are not stored. */
export async function startNats(path: string): Promise<Sender> {
  const port = await freePort();
  const program = new Program(path, (folder) => {
    const file = join(folder, "nats.conf");
    writeFileSync(file, `host: 127.0.0.1\nport: ${port}\nping_interval: "1h"\n`);
    return ["-c", file];
  });
  const socket = await dial(port, program);
  socket.write('CONNECT {"verbose":false}\r\n');
  const publish = `PUB bench ${message.length}\r\n${message}\r\n`;
  return sender(port, program, async (count) => {
    socket.write(publish.repeat(count));
  });
}

/**
 * Starts Centrifugo 6 in its insecure mode, in JSON. Channels keep a history in memory from which a client can recover, so
 * that a message has a position, as one of Tidings has.
 */
export async function startCentrifugo(path: string): Promise<Sender & Unicaster> {
  const port = await freePort();
  const program = new Program(path, () => [], {
    CENTRIFUGO_HTTP_SERVER_ADDRESS: "127.0.0.1",
    CENTRIFUGO_HTTP_SERVER_PORT: String(port),
    CENTRIFUGO_HTTP_API_INSECURE: "true",
    CENTRIFUGO_CLIENT_INSECURE: "true",
    CENTRIFUGO_CLIENT_PING_INTERVAL: "1h",
    CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_SIZE: "1000",
    CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_TTL: "1h",
    CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_FORCE_RECOVERY: "true",
  });
  (await dial(port, program)).destroy();
  const caller = new Caller(port);
  const post = (target: string, value: unknown) =>
    postRequest(target, "application/json", Buffer.from(JSON.stringify(value)));
  const publish = { publish: { channel: "bench", data: { text: message } } };
  const send = async (count: number): Promise<void> => {
    await caller.call(post("/api/batch", { commands: Array.from({ length: count }, () => publish) }));
  };
  const publishRequest = (user: string): Buffer => post("/api/publish", { channel: user, data: { text: message } });
  return { ...sender(port, program, send), publishRequest };
}

/** The Python that has socketify, the binding of uWebSockets on PyPI; undefined when there is none. */
export function findSocketify(): string | undefined {
  const python = process.env.BENCH_PYTHON ?? findProgram("python3");
  if (python === undefined) return undefined;
  try {
    execFileSync(python, ["-c", "import socketify"], { stdio: "ignore" });
    return python;
  } catch {
    return undefined;
  }
}

/** Starts uWebSockets, with its own publish to a topic. */
export async function startMicroWebSockets(python: string): Promise<Sender> {
  const port = await freePort();
  const file = join(import.meta.dirname, "process/uwebsockets.py");
  const program = new Program(python, () => [file, String(port), message]);
  (await dial(port, program)).destroy();
  const caller = new Caller(port);
  return sender(port, program, async (count) => {
    await caller.call(postRequest(`/send/${count}`, "text/plain", Buffer.alloc(0)));
  });
}

function sender(port: number, program: Program, send: Sender["send"]): Sender {
  return {
    port,
    cpu: () => program.cpu(),
    resident: () => program.resident(),
    send,
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}
