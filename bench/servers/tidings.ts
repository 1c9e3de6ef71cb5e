/** Tidings, with nothing but its public options. */
import { createTidings, type Tidings } from "../../src/server.ts";
import { answerCommands } from "../commands.ts";
import { benchSecret } from "../tokens.ts";

/** What a table needs. */
export interface TidingsSpec {
  /** Folder of the store, or `:memory:`; without, `nodes` is given. */
  readonly data?: string;
  /** URLs of what it shares with other nodes; then it also counts, see StoreFigures. */
  readonly nodes?: { readonly store: string; readonly bus: string };
  /** After so long a reader that takes nothing is closed. */
  readonly stallMs?: number;
}

/** What the store has taken so far. */
export interface StoreFigures {
  /** Durable writes: of MongoDB, insert commands with entries. */
  readonly writes: number;
  /** Messages in them. */
  readonly messages: number;
}

/** All that a table needs at once: the tables measure what it costs to take streams in, and not that it is spread. */
const admission = { perSecond: 1_000_000, burst: 1_000_000 };
/** Beyond any run, so that idle streams of one row say nothing during another. */
const heartbeatMs = 3_600_000;

let tidings: Tidings;

answerCommands({ start, figures });

async function start({ data, nodes, stallMs = 30_000 }: TidingsSpec): Promise<number> {
  tidings = await createTidings({
    ...(nodes ? { ...nodes, metrics: true } : { data: data as string }),
    auth: { secret: benchSecret },
    maxStreamsPerUser: 1_000_000,
    heartbeatMs,
    admission,
    timeouts: { stallMs },
  });
  const { port } = await tidings.listen({ port: 0 });
  return port;
}

async function figures(): Promise<StoreFigures> {
  const { text } = await tidings.metrics();
  const read = (part: string) => Number(new RegExp(`^tidings_store_batch_messages_${part} (.*)$`, "m").exec(text)?.[1]);
  return { writes: read("count"), messages: read("sum") };
}
