/** The program of a thread of `tidings serve`: a server that shares port, store and limits with other threads. */
import { parentPort, workerData } from "node:worker_threads";
import { createThreadServer, type ReloadOptions } from "../../server.ts";
import { authOptions, listenOptions, threadOptions } from "../config/server-options.ts";
import { createLogger } from "../output/logger.ts";
import { listenError } from "./run-server.ts";
import type { FromThread, ThreadData, ToThread } from "./thread-messages.ts";

const { values, count, parts } = workerData as ThreadData;
const main = parentPort;
if (!main) throw new Error("this program runs in a thread of `tidings serve`");
const send = (message: FromThread) => main.postMessage(message);

const listen = Promise.withResolvers<number>();
const drain = Promise.withResolvers<void>();
const logger = createLogger(values.logLevel);
const options = threadOptions(values, authOptions(values), logger, count);
const tidings = await createThreadServer(options, parts);

function reload(fresh: ReloadOptions): void {
  try {
    tidings.reload(fresh);
  } catch (error) {
    logger.error({ err: error }, "a thread keeps its secrets and certificates: it cannot use those of the files");
  }
}

/** Sends nothing where a metric cannot be read: a scrape uses the last page then. */
async function sendMetrics(): Promise<void> {
  try {
    send({ type: "metrics", page: (await tidings.metrics()).text });
  } catch (error) {
    logger.error({ err: error }, "the metrics of a thread cannot be read");
  }
}

main.on("message", (message: ToThread) => {
  if (message.type === "listen") listen.resolve(message.port);
  else if (message.type === "drain") drain.resolve();
  else if (message.type === "reload") reload(message.fresh);
  else void sendMetrics();
});

const at = { ...listenOptions(values), port: await listen.promise, reusePort: true };
try {
  send({ type: "ready", address: await tidings.listen(at) });
  await drain.promise;
} catch (error) {
  await tidings.close();
  throw listenError(error, at);
}
await tidings.close();
process.exit(0);
