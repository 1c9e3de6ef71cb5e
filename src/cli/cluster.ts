/**
 * Processes that share a port, by node:cluster: the first process listens and hands each connection to the next worker
 * that is free. Not by SO_REUSEPORT, where the kernel deals connections out by their addresses: connections that wait at a
 * worker which dies, hangs or drains would be lost with it, long-lived streams would lie unevenly, a port of another
 * server of the same user would not count as taken, and port 0 would be another one in each worker.
 */
import cluster from "node:cluster";
import type { Address } from "../http/listener.ts";
import type { Io } from "./command.ts";
import type { WorkerProcess } from "./workers.ts";

/** What the first process tells a worker; a worker tells its address, once. */
const drain = "drain";

/** Starts this command line once more, as a worker. */
export function startWorker(): WorkerProcess {
  const worker = cluster.fork();
  const ready = Promise.withResolvers<Address>();
  const exited = Promise.withResolvers<number | undefined>();
  worker.once("message", (address: Address) => ready.resolve(address));
  worker.once("exit", (code: number | null) => exited.resolve(code ?? undefined));
  // A channel that breaks is a worker that ends, and a process that cannot be started is one that ended.
  worker.on("error", () => worker.isConnected() || exited.resolve(1));
  return {
    pid: worker.process.pid,
    ready: ready.promise,
    exited: exited.promise,
    drain: () => worker.isConnected() && worker.send(drain, () => {}),
    kill: () => worker.process.kill("SIGKILL"),
  };
}

/**
 * In a worker: what differs from a process of its own. The first process decides when to end at once, so that a signal to
 * the whole group, from a terminal or a service manager, drains everything and is not taken for a second one. Should the
 * first process die, Node ends its workers: nobody would hand them connections.
 */
export function workerIo(): Partial<Io> {
  if (!cluster.isWorker) return {};
  return {
    tellParent: (address) => void process.send?.(address),
    onSignal(call) {
      let called = false;
      const once = () => {
        if (!called) call();
        called = true;
      };
      const ignore = () => {};
      const message = (text: unknown) => text === drain && once();
      process.on("SIGTERM", once).on("SIGINT", ignore).on("message", message);
      return () => process.off("SIGTERM", once).off("SIGINT", ignore).off("message", message);
    },
  };
}
