/** Plain sockets of an attacker. */
import { connect, type Socket } from "node:net";
import type { Attacker } from "../attack.ts";

/** An address of an attacker's own, on systems where every address of 127.0.0.0/8 is this machine. */
const localAddress = process.platform === "linux" ? "127.0.0.2" : "127.0.0.1";

/** Opens a connection whose errors are expected. */
export function openTcp({ port }: { readonly port: number }): Socket {
  return connect({ port, host: "127.0.0.1", localAddress }).on("error", () => {});
}

/**
 * Counts what becomes of a connection: the status of its first response, `closed` without one, or `still open` when the
 * attack ends. Resolves when it is closed, or when the attack is to end.
 */
export function outcome({ answers, signal }: Attacker, socket: Socket): Promise<void> {
  let head = "";
  socket.on("data", (data) => {
    if (head.length < 100) head += data.toString("latin1");
  });
  return new Promise((resolve) => {
    const stop = () => settle("still open");
    const settle = (otherwise: string) => {
      signal.removeEventListener("abort", stop);
      const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1];
      answers.add(status === undefined ? otherwise : `status ${status}`);
      resolve();
    };
    socket.once("close", () => settle("closed"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
