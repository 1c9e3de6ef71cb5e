/** The journey that every SDK has to survive: resets, killed servers and short tokens, without a lost or doubled message. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect } from "vitest";
import { mintToken } from "../../src/auth/mint-token.ts";
import { ServerProcess, secret } from "../faults/server-process.ts";
import { FaultProxy } from "../support/fault-proxy.ts";

const total = 200;
/** The number of published messages between two resets: 20 resets in all. */
const resetEvery = 10;
/** The messages after which the server is killed. */
const kills = new Set([50, 100, 150]);
const tokenSeconds = 3;

/** A line that a program prints, as docs/clients.md describes it. */
interface Line {
  readonly type: string;
  readonly id?: string;
  readonly message?: { readonly title: string };
  readonly [key: string]: unknown;
}

/** A client program of the kit. */
class Program {
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;
  readonly #waiting = new Map<string, () => void>();
  readonly lines: Line[] = [];
  log = "";

  constructor([program = "", ...args]: readonly string[], env: NodeJS.ProcessEnv) {
    this.#child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
    this.#exit = once(this.#child, "close");
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.log += text));
    // A program that died cannot take commands; its exit code says so at the end.
    this.#child.stdin?.on("error", () => {});
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on("line", (text) => {
      const line = JSON.parse(text) as Line;
      this.lines.push(line);
      if (line.id !== undefined) this.#waiting.get(line.id)?.();
    });
  }

  send(command: object): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /** Sends a command and waits for the line that answers it. */
  async ask(id: string, command: object): Promise<Line> {
    const answered = new Promise<void>((resolve) => this.#waiting.set(id, resolve));
    this.send({ ...command, id });
    await Promise.race([answered, this.#exit]);
    const line = this.lines.find((each) => each.id === id);
    if (line === undefined) throw new Error(`the program ended: ${this.log}`);
    return line;
  }

  /** Closes the program and returns its exit code. */
  async close(): Promise<unknown> {
    this.#child.stdin?.end();
    const [code] = await this.#exit;
    return code;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

/**
 * Publishes 200 messages by one program and receives them by another, while a proxy resets all connections 20 times, the
 * server is killed three times, and tokens live for 3 s. Expects every message once and in order.
 */
export async function surviveTwoHundred(command: readonly string[]): Promise<void> {
  const data = mkdtempSync(join(tmpdir(), "tidings-200-"));
  let server = new ServerProcess({ data });
  const port = new URL(await server.ready).port;
  const proxy = await FaultProxy.to(Number(port));
  let refreshes = 0;
  const tokens = createServer(async (request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    if (url.searchParams.has("refresh")) refreshes++;
    const role = url.pathname === "/service" ? "service" : "user";
    const exp = Math.floor(Date.now() / 1000) + tokenSeconds;
    response.end(await mintToken(secret, { sub: role, tenant: "acme", role, exp }));
  });
  tokens.listen(0, "127.0.0.1");
  await once(tokens, "listening");
  const start = (role: string) =>
    new Program(command, {
      TIDINGS_URL: `http://127.0.0.1:${proxy.port}`,
      TIDINGS_TOKEN_URL: `http://127.0.0.1:${(tokens.address() as AddressInfo).port}/${role}`,
    });
  const subscriber = start("user");
  const publisher = start("service");
  try {
    subscriber.send({ type: "subscribe" });
    const isLive = () => subscriber.lines.some(({ state }) => state === "live");
    await expect.poll(isLive, { timeout: 30_000 }).toBe(true);
    for (let sent = 1; sent <= total; sent++) {
      const audience = { userId: "user" };
      const message = { kind: "KIND_NOTIFICATION", title: String(sent) };
      // On a slow machine a call may end before the server has started: then the test repeats it under the same id.
      const requestId = kills.has(sent) ? { requestId: String(sent) } : {};
      const publish = (attempt: number) =>
        publisher.ask(`${sent}/${attempt}`, { type: "publish", request: { audience, message, ...requestId } });
      let published = publish(0);
      // In the middle of a call, whose answer may be lost.
      if (sent % resetEvery === 0) proxy.reset();
      if (kills.has(sent)) {
        await server.kill();
        server = new ServerProcess({ data, port });
        await server.ready;
        if ((await published).type === "error") published = publish(1);
      }
      const line = await published;
      expect(line, `${JSON.stringify(line)}\n${publisher.log}`).toMatchObject({ type: "published" });
    }
    const titles = () =>
      subscriber.lines.flatMap(({ type, message }) => (type === "message" ? [Number(message?.title)] : []));
    await expect.poll(() => titles().length, { timeout: 60_000 }).toBeGreaterThanOrEqual(total);
    expect(titles()).toEqual(Array.from({ length: total }, (_, index) => index + 1));
    // Tokens have expired, and the subscription said nothing of it.
    expect(refreshes).toBeGreaterThan(0);
    expect(subscriber.lines.filter(({ final }) => final)).toEqual([]);
    expect(await Promise.all([subscriber.close(), publisher.close()])).toEqual([0, 0]);
  } finally {
    subscriber.kill();
    publisher.kill();
    await proxy.close();
    tokens.close();
    tokens.closeAllConnections();
    await server.kill();
    rmSync(data, { recursive: true, force: true });
  }
}
