/** `npm run example -- <name> [--port 7300]` runs an example; for one in another language, its program. */
import { existsSync, readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { resolveEntries } from "./shared/entries.ts";
import type { Example } from "./shared/example.ts";
import { isProgram, programs, runProgram } from "./shared/programs.ts";

const here = new URL("./", import.meta.url);

/** The name of the example and the port, 0 for any free one. Throws if the command line is wrong. */
function readArguments() {
  const { values, positionals } = parseArgs({ options: { port: { type: "string" } }, allowPositionals: true });
  const port = Number(values.port ?? 0);
  const names = readdirSync(here).filter((name) => existsSync(new URL(`${name}/backend.ts`, here)));
  const [name = ""] = positionals;
  if (!names.includes(name) && !isProgram(name)) {
    throw new Error(`name one of: ${[...names, ...Object.keys(programs)].join(", ")}`);
  }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error("--port: must be a number from 0 to 65535");
  return { name, port };
}

async function main(): Promise<number> {
  const { name, port } = readArguments();
  resolveEntries();
  // Imported after resolveEntries(), since this module imports `tidings`.
  const { serve } = await import("./shared/serve.ts");
  if (isProgram(name)) {
    const server = await serve(port);
    const code = await runProgram(name, server);
    await server.close();
    return code;
  }
  const folder = new URL(`${name}/`, here);
  const { example } = (await import(new URL("backend.ts", folder).href)) as { example: Example };
  const { url, close } = await serve(port, example, folder);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void close().then(() => console.log("Stopped.")));
  }
  console.log(`${example.title}: open ${url}/ in a browser. Ctrl-C ends it.`);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`npm run example -- <name> [--port <port>]: ${(error as Error).message}`);
  process.exitCode = 2;
}
