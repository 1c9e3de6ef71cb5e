/** Whether threads can share a port, and how many should. */
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import { getHeapStatistics } from "node:v8";

/** The most threads by default. */
const mostThreads = 8;
/** The least heap of a thread, in bytes: the limit of the process is divided among its threads. */
const leastHeapBytes = 256 * 1024 * 1024;
/** The number of threads that this machine has cores and memory for. */
export function defaultThreads(): number {
  const byMemory = Math.floor(getHeapStatistics().heap_size_limit / leastHeapBytes);
  return Math.max(1, Math.min(availableParallelism(), mostThreads, byMemory));
}

/** Whether several threads of this machine can listen on one port. */
export async function canReusePort(): Promise<boolean> {
  try {
    await tryPort({ host: "127.0.0.1", port: 0, reusePort: true });
    return true;
  } catch {
    return false;
  }
}

/** Listens for a moment. Rejects as listening would. */
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
