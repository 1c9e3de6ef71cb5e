/** Whether threads can share a port, and how many should. */
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import { getHeapStatistics } from "node:v8";

/** The most threads by default. */
const maxThreads = 8;
/** The least heap of a thread, in bytes: the threads of a process share its limit. */
const minHeapBytes = 256 * 1024 * 1024;

/** The default number of threads: one for each core, at most 8, and as many as the heap limit of the process has room for. */
export function defaultThreads(): number {
  const byMemory = Math.floor(getHeapStatistics().heap_size_limit / minHeapBytes);
  return Math.max(1, Math.min(availableParallelism(), maxThreads, byMemory));
}

/** Whether several threads can listen on one port of this machine. */
export async function canReusePort(): Promise<boolean> {
  try {
    await tryPort({ host: "127.0.0.1", port: 0, reusePort: true });
    return true;
  } catch {
    return false;
  }
}

/** Listens on a port and stops at once. Rejects if listening fails. */
export function tryPort(at: {
  readonly host: string;
  readonly port: number;
  readonly reusePort?: boolean;
}): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(at, () => server.close(() => resolve()));
  });
}
