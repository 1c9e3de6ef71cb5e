/** Whether threads can share a port, and how many should. */
import { createServer, type Server } from "node:net";
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

/** The address of a port, as listening takes it. */
interface PortAddress {
  readonly host: string;
  readonly port: number;
  readonly reusePort?: boolean;
}

/** Listens on a port and stops at once. Rejects if listening fails. */
export async function tryPort(at: PortAddress): Promise<void> {
  const server = await listenAt(at);
  await new Promise((resolve) => server.close(resolve));
}

/**
 * Keeps a port for the threads of this process until one of them listens: the store is opened in between, and with
 * SO_REUSEPORT another server of this user that starts meanwhile would share the port. Rejects if the port is in use.
 * Returns the function that releases it.
 */
export async function holdPort(at: Omit<PortAddress, "reusePort">): Promise<() => void> {
  // Refused while anybody listens, whether or not they share. The kernel then refuses this to others.
  await tryPort(at);
  const server = await listenAt({ ...at, reusePort: true });
  // Nothing serves yet.
  server.on("connection", (socket) => socket.destroy());
  return () => void server.close();
}

function listenAt(at: PortAddress): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    // Also for errors to come, such as a lack of file descriptors, which would end the process: a client connects again.
    server.on("error", reject);
    server.listen(at, () => resolve(server));
  });
}
