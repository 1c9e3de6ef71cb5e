/** The server under test, in a process of its own: prints its address, and answers each line on stdin with its memory. */
import { createInterface } from "node:readline";
import { createTidings } from "../src/server.ts";
import { benchSecret } from "./tokens.ts";

const tidings = await createTidings({
  data: process.argv[2] as string,
  auth: { secret: benchSecret },
  maxStreamsPerUser: 1_000_000,
  admission: { perSecond: 1_000_000 },
});
const { port } = await tidings.listen({ port: 0 });
console.log(port);
createInterface({ input: process.stdin })
  .on("line", () => {
    globalThis.gc?.();
    console.log(process.memoryUsage().rss);
  })
  // The benchmark is gone: nothing may be left running.
  .on("close", () => process.exit(0));
