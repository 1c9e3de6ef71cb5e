import type { MessagePort } from "node:worker_threads";
import type { Commit, Entry } from "../../ports/store.ts";
import { type Answer, type Call, isConnection, type PortMessage, type ThreadMessage } from "./protocol.ts";

/** The answers to a batch of calls, and its commits. */
export interface Served {
  readonly answers: readonly Answer[];
  readonly commits: readonly Commit[];
}

/** Calls of one client that have arrived and are not served yet. */
interface Arrived {
  readonly port: MessagePort;
  readonly calls: readonly Call[];
}

/**
 * The clients of the store's thread, each with a port of its own. Calls that have arrived from several of them when the
 * thread is free are served as one batch, so that they share a commit.
 */
export class Clients {
  readonly #serve: (calls: readonly Call[]) => Served;
  #count = 0;
  #arrived: Arrived[] = [];

  /** `serve` answers a batch of calls. Answers may come in any order, and have the ids of their calls. */
  constructor(serve: (calls: readonly Call[]) => Served) {
    this.#serve = serve;
  }

  /** Serves the calls that arrive at a port, and at the ports that arrive there, until each is closed. */
  add(port: MessagePort): void {
    this.#count++;
    port.on("message", (message: PortMessage) => {
      if (isConnection(message)) this.add(message.connect);
      else this.#take({ port, calls: message });
    });
    port.on("close", () => this.#count--);
  }

  #take(arrived: Arrived): void {
    // Nothing else can be on its way: a lone client sends its next message after the answers.
    if (this.#count === 1) this.#serveAll([arrived]);
    // Node delivers the waiting messages of all ports before setImmediate, so this batch has all that came during the last.
    else if (this.#arrived.push(arrived) === 1) setImmediate(() => this.#serveAll(this.#arrived.splice(0)));
  }

  #serveAll(arrived: readonly Arrived[]): void {
    const [first] = arrived;
    if (!first) return;
    if (arrived.length === 1) {
      post(first.port, this.#serve(first.calls));
      return;
    }
    // Clients number their calls independently, so the batch has numbers of its own: the index of each call.
    const origins: { readonly answers: Answer[]; readonly id: number }[] = [];
    const batch: Call[] = [];
    const byClient = arrived.map(({ calls }) => {
      const answers: Answer[] = [];
      for (const [id, method, args] of calls) batch.push([origins.push({ answers, id }) - 1, method, args]);
      return answers;
    });
    const { answers, commits } = this.#serve(batch);
    for (const [index, value, failure] of answers) {
      const origin = origins[index];
      origin?.answers.push([origin.id, value, failure]);
    }
    // Report each commit to one client only, so that the counts of all clients add up.
    for (const [index, { port }] of arrived.entries())
      post(port, { answers: byClient[index] ?? [], commits: index === 0 ? commits : [] });
  }
}

function post(port: MessagePort, { answers, commits }: Served): void {
  port.postMessage({ type: "answers", answers, commits } satisfies ThreadMessage, largeBodies(answers));
}

/** The least bytes of a body that is transferred to the other thread: a copy would become garbage in both threads. */
const largeBytes = 16 * 1024;

/** Returns the buffers of the large bodies in answers. */
function largeBodies(answers: readonly Answer[]): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const [, value] of answers) {
    for (const entry of entriesOf(value)) {
      const body = (entry as Partial<Entry> | null | undefined)?.body;
      if (body && body.length >= largeBytes && body.length === body.buffer.byteLength)
        buffers.add(body.buffer as ArrayBuffer);
    }
  }
  return [...buffers];
}

/** Returns the entries in the answer of a method; none if it answers with something else. */
function entriesOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return (value as { readonly entries?: readonly unknown[] } | undefined)?.entries ?? [];
}
