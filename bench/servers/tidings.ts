/** Tidings, with nothing but its public options. */
import { createTidings } from "../../src/server.ts";
import { answerCommands } from "../commands.ts";
import { benchSecret } from "../tokens.ts";

/** What a table needs. */
export interface TidingsSpec {
  /** Folder of the store, or `:memory:`. */
  readonly data: string;
  /** After so long a reader that takes nothing is closed. */
  readonly stallMs?: number;
}

/** All that a table needs at once: the tables measure what it costs to take streams in, and not that it is spread. */
const admission = { perSecond: 1_000_000, burst: 1_000_000 };
/** Beyond any run, so that idle streams of one row say nothing during another. */
const heartbeatMs = 3_600_000;

answerCommands({ start });

async function start({ data, stallMs = 30_000 }: TidingsSpec): Promise<number> {
  const tidings = await createTidings({
    data,
    auth: { secret: benchSecret },
    maxStreamsPerUser: 1_000_000,
    heartbeatMs,
    admission,
    timeouts: { stallMs },
  });
  const { port } = await tidings.listen({ port: 0 });
  return port;
}
