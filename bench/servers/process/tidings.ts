/** Tidings, with public options only. */
import { createTidings, type Tidings } from "../../../src/server.ts";
import { serveCommands } from "../../process/commands.ts";
import { benchSecret } from "../../workload/tokens.ts";

/** The options that tables vary. One of `data` and `nodes` is set. */
export interface TidingsSpec {
  /** The folder of the embedded store, or `:memory:`. */
  readonly data?: string;
  /** The URLs of backends that it shares with other nodes. The server then also counts StoreFigures. */
  readonly nodes?: { readonly store: string; readonly bus: string };
  /** The time after which a stream that does not read is closed, in ms. Default 30,000. */
  readonly stallMs?: number;
  /** Messages that a feed keeps. Default 10,000. */
  readonly keep?: number;
}

/** Counters of the store since the start. */
export interface StoreFigures {
  /** Durable writes; on MongoDB, insert commands with entries. */
  readonly writes: number;
  /** Messages in these writes. */
  readonly messages: number;
}

/** No limit in practice: tables measure the cost of opening streams, which pacing would spread out. */
const admission = { perSecond: 1_000_000, burst: 1_000_000 };
/** A single user of a table does what in life many do. */
const none = Number.POSITIVE_INFINITY;
const limits = {
  publishesPerUser: none,
  bytesPerUser: none,
  callsPerUser: none,
  newRoomsPerUser: none,
  newStreamsPerUser: none,
};
/** Longer than any run, so that idle streams of one row send nothing while another row is measured. */
const heartbeatMs = 3_600_000;

let tidings: Tidings;

serveCommands({ start, figures });

async function start({ data, nodes, stallMs = 30_000, keep = 10_000 }: TidingsSpec): Promise<number> {
  tidings = await createTidings({
    ...(nodes ? { ...nodes, metrics: true } : { data: data as string }),
    auth: { secret: benchSecret },
    maxStreamsPerUser: 1_000_000,
    heartbeatMs,
    admission,
    limits,
    timeouts: { stallMs },
    retention: { count: keep },
  });
  const { port } = await tidings.listen({ port: 0 });
  return port;
}

async function figures(): Promise<StoreFigures> {
  const { text } = await tidings.metrics();
  const read = (part: string) => Number(new RegExp(`^tidings_store_batch_messages_${part} (.*)$`, "m").exec(text)?.[1]);
  return { writes: read("count"), messages: read("sum") };
}
