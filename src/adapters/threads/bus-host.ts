import { MessageChannel, type MessagePort } from "node:worker_threads";
import { cellBytes, type PeerMessage } from "./link.ts";

/** Makes the event-loop threads of a process known to each other, so that each two of them have a port. */
export class BusHost {
  readonly #threads = new Map<number, { readonly control: MessagePort; readonly cells: SharedArrayBuffer }>();

  /** Connects a thread, which gets its messages on the other end of `control`, to all others. Returns its cells. */
  connect(id: number, control: MessagePort): SharedArrayBuffer {
    const own = new SharedArrayBuffer(cellBytes);
    for (const [otherId, other] of this.#threads) {
      const { port1, port2 } = new MessageChannel();
      introduce(other.control, { id, port: port1, cells: own, isNew: true });
      introduce(control, { id: otherId, port: port2, cells: other.cells, isNew: false });
    }
    this.#threads.set(id, { control, cells: own });
    return own;
  }

  /** Forgets a thread. The others notice by themselves when it ends: its ports close. */
  disconnect(id: number): void {
    this.#threads.get(id)?.control.close();
    this.#threads.delete(id);
  }

  close(): void {
    for (const id of this.#threads.keys()) this.disconnect(id);
  }
}

function introduce(to: MessagePort, peer: PeerMessage): void {
  to.postMessage(peer, [peer.port]);
}
