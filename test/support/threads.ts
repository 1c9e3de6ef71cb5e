import { rmSync } from "node:fs";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { ThreadHost } from "../../src/adapters/threads/host.ts";
import { openThreadPorts, type ThreadPorts } from "../../src/adapters/threads/ports.ts";
import type { CommitListener } from "../../src/ports/store.ts";
import type { OpenedStore } from "../../src/testing/store-bench.ts";
import { makeFolder } from "./store-sqlite.ts";

/** Connects three threads to one part of a host, by a channel each, and returns the threads' ends. */
export function connectThree<T>(connect: (id: number, port: MessagePort) => T): { port: MessagePort; result: T }[] {
  return [1, 2, 3].map((id) => {
    const { port1, port2 } = new MessageChannel();
    return { port: port2, result: connect(id, port1) };
  });
}

/** A host and the ports of several threads, all of them in this thread. */
export interface OpenedThreads {
  readonly host: ThreadHost;
  readonly threads: readonly ThreadPorts[];
  /** Closes the threads, then the host. */
  close(): Promise<void>;
}

/** Opens a host and connects a number of threads to it, which report their commits. */
export async function openThreads(
  count: number,
  folder: string,
  keep: number,
  committed?: CommitListener,
): Promise<OpenedThreads> {
  const host = new ThreadHost({ folder, keep });
  await host.open();
  const links = Array.from({ length: count }, () => host.connect().link);
  const threads = links.map((link) => openThreadPorts(link, committed && { committed }));
  return {
    host,
    threads,
    async close() {
      for (const { store, bus, presence, limiter } of threads)
        await Promise.all([store, bus, presence, limiter].map((port) => port.close()));
      await host.close();
    },
  };
}

/** Opens the store of one of three threads, in a folder that is removed when it is closed for good. */
export async function openThreadStore(keep = 10_000, folder = makeFolder()): Promise<OpenedStore> {
  let current = await openThreads(3, folder, keep);
  const opened = async (): Promise<OpenedStore> => {
    const { store } = current.threads[1] as ThreadPorts;
    return {
      store,
      info: await store.open(),
      async reopen() {
        await current.close();
        current = await openThreads(3, folder, keep);
        return opened();
      },
      async close() {
        await current.close();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  };
  return opened();
}
