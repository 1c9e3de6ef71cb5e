import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { ServerProcess } from "../faults/server-process.ts";

const clients = 1_500;
const bound = "/proc/sys/net/core/somaxconn";

test(`All of ${clients} connections that arrive while the server is busy are accepted`, { timeout: 40_000 }, async ({
  skip,
}) => {
  if (!existsSync(bound) || Number(readFileSync(bound, "utf8")) < clients) {
    console.log(`skipped: the kernel queues fewer connections than ${clients} (${bound})`);
    return skip("the kernel queues fewer connections");
  }
  const server = new ServerProcess({});
  const sockets: ReturnType<typeof connect>[] = [];
  const thaw = await server.ready.then(() => server.freeze());
  try {
    const { port, hostname } = new URL(await server.ready);
    sockets.push(...Array.from({ length: clients }, () => connect(Number(port), hostname)));
    // A connection beyond the backlog would retry in vain until the timeout.
    const signal = AbortSignal.timeout(20_000);
    const outcomes = await Promise.allSettled(sockets.map((socket) => once(socket, "connect", { signal })));
    expect(outcomes.filter(({ status }) => status === "rejected").length).toBe(0);
  } finally {
    for (const socket of sockets) socket.destroy();
    thaw();
    await server.kill();
  }
});
