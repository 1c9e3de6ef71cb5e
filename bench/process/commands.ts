import { createInterface } from "node:readline";

/** The commands of a process, by name. */
export type Commands = Readonly<Record<string, (argument: never) => unknown>>;

/** One line of stdin, written by a Child. */
interface CommandLine {
  readonly command: string;
  readonly argument: never;
}

/**
 * Runs each command that arrives as a line on stdin and writes its result as a line to stdout, in the order of the
 * commands. Every process also has the commands `cpu` (CPU time of all threads, user and system, in µs), and `rss` and
 * `heap` (resident memory, and V8's heap with the buffers outside of it, after a garbage collection, in bytes). The process ends with stdin, so that none outlives the benchmark.
 */
export function serveCommands(commands: Commands): void {
  const all: Commands = { cpu, rss, heap, ...commands };
  let written = Promise.resolve();
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      const result = run(all, JSON.parse(line) as CommandLine);
      written = written.then(async () => console.log(await result));
    })
    .on("close", () => process.exit(0));
}

async function run(commands: Commands, { command, argument }: CommandLine): Promise<string> {
  try {
    const value = await commands[command]?.(argument);
    return JSON.stringify({ value });
  } catch (error) {
    return JSON.stringify({ error: (error as Error).stack });
  }
}

function cpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

const collection = { type: "major", execution: "sync", flavor: "last-resort" };

async function rss(): Promise<number> {
  await collectGarbage();
  return process.memoryUsage.rss();
}

async function heap(): Promise<number> {
  await collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function collectGarbage(): Promise<void> {
  // Several rounds, because finalisers of one collection free memory that only the next one returns.
  for (let round = 0; round < 3; round++) {
    // The collection that V8 runs when memory is short: it also returns the pages kept for the next burst. @types/node
    // does not know the `flavor` option.
    (globalThis.gc as ((options: object) => void) | undefined)?.(collection);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
