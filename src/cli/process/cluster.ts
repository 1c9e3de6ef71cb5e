/**
 * Processes that share a port, by node:cluster: the first process listens and hands each connection to the next free
 * worker. SO_REUSEPORT is not used, because the kernel would assign connections by their addresses: connections queued at
 * a worker that dies, hangs or drains would be lost with it, long-lived streams would be spread unevenly, a port of
 * another server of the same user would not count as taken, and port 0 would be a different port in each worker.
 */
import cluster, { type Worker } from "node:cluster";
import type { Address } from "../../http/listener.ts";
import type { Io } from "./io.ts";
import { semiSpaceFlags } from "./semi-space.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** The messages to a worker. The only message from a worker is its address. */
const drain = "drain";
const reload = "reload";

/** The environment variable that gives a worker its index. */
const indexVariable = "TIDINGS_WORKER_INDEX";

/** Starts this command line once more, as the worker with this index. */
export function startWorker(index: number, semiSpace: number): WorkerProcess {
  cluster.setupPrimary({ execArgv: [...process.execArgv, ...semiSpaceFlags(semiSpace, process)] });
  const worker = cluster.fork({ [indexVariable]: String(index) });
  closeUnacceptedConnection(worker);
  const ready = Promise.withResolvers<Address>();
  const exited = Promise.withResolvers<number | undefined>();
  worker.once("message", (address: Address) => ready.resolve(address));
  worker.once("exit", (code: number | null) => exited.resolve(code ?? undefined));
  // A worker ends by itself once its channel is broken, and a process that could not be started never emits `exit`.
  worker.on("error", () => worker.isConnected() || exited.resolve(1));
  return {
    pid: worker.process.pid,
    ready: ready.promise,
    exited: exited.promise,
    drain: () => worker.isConnected() && worker.send(drain, () => {}),
    reload: () => worker.isConnected() && worker.send(reload, () => {}),
    kill: () => worker.process.kill("SIGKILL"),
  };
}

/**
 * Closes the connection that was being handed to a worker when the worker died: node:cluster forgets it, and its client
 * would wait for ever. At most one connection at a time is being handed to a worker; closing the handle of one that the
 * worker did accept has no effect.
 */
function closeUnacceptedConnection(worker: Worker): void {
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
 * The part of Io that differs in a worker; empty in any other process. The first process alone decides when to end at
 * once: a signal to the whole process group, from a terminal or a service manager, must drain every worker rather than
 * count as a second signal. When the first process dies, Node ends its workers, which would get no more connections.
 */
export function workerIo(): Partial<Io> {
  if (!cluster.isWorker) return {};
  const workerIndex = Number(process.env[indexVariable]);
  // The configuration refuses variables that are not settings.
  delete process.env[indexVariable];
  return {
    workerIndex,
    reportReady: (address) => void process.send?.(address),
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
    onReload(call) {
      const ignore = () => {};
      const message = (text: unknown) => text === reload && call();
      process.on("SIGHUP", ignore).on("message", message);
      return () => process.off("SIGHUP", ignore).off("message", message);
    },
  };
}
