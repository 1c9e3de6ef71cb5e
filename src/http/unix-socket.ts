import { lstatSync, unlinkSync } from "node:fs";
import { connect } from "node:net";

/** The longest path of a unix socket on Linux, in bytes; other systems have less. */
const maxPathBytes = 107;

/**
 * Makes room for a unix socket: removes the file of a server that did not end cleanly. Rejects when another server listens
 * there, when the file is no socket, and when the path is too long, which Node would cut short.
 */
export async function freeSocketPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > maxPathBytes) throw new Error(`the path of a socket has at most ${maxPathBytes} bytes`);
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (!stats) return;
  if (!stats.isSocket()) throw new Error(`${path} exists and is no socket`);
  if (await isAnswered(path)) throw new Error(`${path} is in use by another server`);
  unlinkSync(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      else reject(error);
    });
  });
}
