/**
 * Processes that share a port, by node:cluster: the first process listens and hands each connection to the next worker
 * that is free. Not by SO_REUSEPORT, where the kernel deals connections out by their addresses: connections that wait at a
 * worker which dies, hangs or drains would be lost with it, long-lived streams would lie unevenly, a port of another
 * server of the same user would not count as taken, and port 0 would be another one in each worker.
 */
import cluster, { type Worker } from "node:cluster";
import type { Address } from "../../http/listener.ts";
import type { Io } from "./io.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** What the first process tells a worker; a worker tells its address, once. */
const drain = "drain";

/** Tells a worker its place. */
const placeName = "TIDINGS_WORKER_PLACE";

/** Starts this command line once more, as the worker of a place. */
export function startWorker(place: number): WorkerProcess {
  const worker = cluster.fork({ [placeName]: String(place) });
  cutUnaccepted(worker);
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
 * A connection that is on its way to a worker when it dies would stay open for ever, with nobody at its end: node:cluster
 * forgets it. A worker has only one at a time on its way; to close one again that it took changes nothing.
 */
function cutUnaccepted(worker: Worker): void {
  const { process: child } = worker;
  const send = child.send.bind(child) as (...args: readonly unknown[]) => boolean;
  let last: { close?(): void } | undefined;
  child.send = (...args: readonly unknown[]) => {
    last = (args[1] as typeof last) ?? last;
    return send(...args);
  };
  worker.once("exit", () => last?.close?.());
}

/**
 * In a worker: what differs from a process of its own. The first process decides when to end at once, so that a signal to
 * the whole group, from a terminal or a service manager, drains everything and is not taken for a second one. Should the
 * first process die, Node ends its workers: nobody would hand them connections.
 */
export function workerIo(): Partial<Io> {
  if (!cluster.isWorker) return {};
  const place = Number(process.env[placeName]);
  // It is no option of the command line.
  delete process.env[placeName];
  return {
    place,
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
