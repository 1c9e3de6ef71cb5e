import { ThreadBus } from "../../../src/adapters/threads/bus.ts";
import { BusHost } from "../../../src/adapters/threads/bus-host.ts";
import { ThreadPresence } from "../../../src/adapters/threads/presence.ts";
import { PresenceHost } from "../../../src/adapters/threads/presence-host.ts";
import { ThreadRateLimiter } from "../../../src/adapters/threads/rate-limiter.ts";
import { RateLimiterHost } from "../../../src/adapters/threads/rate-limiter-host.ts";
import { busContract } from "../../../src/testing/bus.ts";
import { presenceContract } from "../../../src/testing/presence.ts";
import { rateLimiterContract } from "../../../src/testing/rate-limiter.ts";
import { storeContract } from "../../../src/testing/store.ts";
import { connectThree, openThreadStore } from "../../support/threads.ts";

/** Closes nodes, then their host. */
async function closeAll(nodes: readonly { close(): Promise<void> }[], host: { close(): void }): Promise<void> {
  await Promise.all(nodes.map((node) => node.close()));
  host.close();
}

// The suite of SqliteStore runs more scripts on the same store.
storeContract("ThreadStore", openThreadStore, { scripts: 4 });

busContract("ThreadBus", async () => {
  const host = new BusHost();
  const threads = connectThree((id, port) => host.connect(id, port));
  const [one, two, three] = threads.map(({ port, result }) => new ThreadBus({ bus: port, cells: result }));
  const buses = [one as ThreadBus, two as ThreadBus, three as ThreadBus] as const;
  return { buses, close: () => closeAll(buses, host) };
});

presenceContract(
  "ThreadPresence",
  async () => {
    const host = new PresenceHost();
    const threads = connectThree((id, port) => host.connect(id, port));
    const [one, two, three] = threads.map(({ port }) => new ThreadPresence({ presence: port }));
    const nodes = [one as ThreadPresence, two as ThreadPresence, three as ThreadPresence] as const;
    return { nodes, close: () => closeAll(nodes, host) };
  },
  { scripts: 80 },
);

rateLimiterContract("ThreadRateLimiter", async () => {
  const host = new RateLimiterHost();
  const threads = connectThree((id, port) => host.connect(id, port));
  const [one, two, three] = threads.map(({ port }) => new ThreadRateLimiter({ limiter: port }));
  const nodes = [one as ThreadRateLimiter, two as ThreadRateLimiter, three as ThreadRateLimiter] as const;
  return { nodes, close: () => closeAll(nodes, host) };
});
