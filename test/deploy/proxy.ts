/** Proxies with the configurations of deploy/, in front of servers in the test's own process. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "../support/run.ts";
import { findTool, pathOf, type Tool } from "../support/tools.ts";

/** A running proxy. */
export interface FrontProxy {
  /** The URL for HTTP/1.1; Caddy's also serves HTTP/2. */
  readonly url: string;
  /** The URL for HTTP/2 in cleartext. */
  readonly h2cUrl: string;
  /** Its stderr so far. */
  log(): string;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

/** Starts a proxy for nodes at these URLs. `change` may alter its configuration first. */
export type StartProxy = (nodes: readonly string[], change?: (configuration: string) => string) => Promise<FrontProxy>;

// Debian keeps servers out of the PATH of ordinary users.
process.env.PATH = `${process.env.PATH}${delimiter}/usr/sbin`;

export const nginx = findTool("nginx", "apt-get install nginx-light");
export const caddy = findTool("caddy", "apt-get install caddy");

/** deploy/nginx.conf, with other ports, nodes and folders. */
export const startNginx: StartProxy = async (nodes, change = (text) => text) => {
  const folder = mkdtempSync(join(tmpdir(), "tidings-nginx-"));
  const [port, h2cPort] = await freePorts(2);
  const servers = nodes.map((url) => `server ${new URL(url).host} max_fails=1 fail_timeout=2s;`).join(" ");
  const configuration = readFileSync(join(root, "deploy/nginx.conf"), "utf8")
    .replaceAll(/server tidings-1:7300[^;]*;\s*server tidings-2:7300[^;]*;/g, servers)
    .replace("listen 8080;", `listen 127.0.0.1:${port};`)
    .replace("listen 8081 http2;", `listen 127.0.0.1:${h2cPort} http2;`)
    // A test machine may allow fewer files, and needs fewer processes.
    .replace(/worker_rlimit_nofile \d+;/, "")
    .replace("worker_connections 65536;", "worker_connections 1024;")
    .replace("worker_processes auto;", "worker_processes 1;")
    .replaceAll("/tmp/nginx", join(folder, "nginx"));
  const file = join(folder, "nginx.conf");
  writeFileSync(file, change(configuration));
  return run(nginx, ["-e", "stderr", "-p", folder, "-c", file, "-g", "daemon off;"], {
    folder,
    ports: [port, h2cPort],
  });
};

/** deploy/Caddyfile, with ports and nodes by the environment. */
export const startCaddy: StartProxy = async (nodes, change = (text) => text) => {
  const folder = mkdtempSync(join(tmpdir(), "tidings-caddy-"));
  const [port] = await freePorts(1);
  const file = join(folder, "Caddyfile");
  writeFileSync(file, change(readFileSync(join(root, "deploy/Caddyfile"), "utf8")));
  const env = {
    TIDINGS_SITE: `http://127.0.0.1:${port}`,
    TIDINGS_NODES: nodes.map((url) => new URL(url).host).join(" "),
    HOME: folder,
    XDG_DATA_HOME: folder,
    XDG_CONFIG_HOME: folder,
  };
  return run(caddy, ["run", "--config", file, "--adapter", "caddyfile"], { folder, ports: [port, port], env });
};

/** Where a proxy runs. */
interface Surroundings {
  readonly folder: string;
  readonly ports: readonly [number, number];
  readonly env?: Readonly<Record<string, string>>;
}

async function run(tool: Tool, args: readonly string[], { folder, ports, env }: Surroundings): Promise<FrontProxy> {
  const program = pathOf(tool);
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], env: { PATH: process.env.PATH, ...env } });
  const exited = once(child, "exit");
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const gone = exited.then(([code]) => {
    throw new Error(`${program} ended with ${code}: ${log}`);
  });
  // Awaited during the start only.
  gone.catch(() => {});
  const stop = async () => {
    // Not SIGKILL, which would leave nginx's workers behind.
    child.kill("SIGTERM");
    await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await Promise.race([Promise.all(ports.map(listening)), gone]);
  } catch (error) {
    await stop();
    throw error;
  }
  const [url, h2cUrl] = ports.map((port) => `http://127.0.0.1:${port}`) as [string, string];
  return { url, h2cUrl, log: () => log, stop };
}

/** Resolves once a port accepts connections. */
async function listening(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const taken = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (taken) return;
    await sleep(20);
  }
}

/** Ports that were free a moment ago: these programs cannot choose one by themselves. */
async function freePorts<N extends 1 | 2>(count: N): Promise<N extends 1 ? [number] : [number, number]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports as never;
}
