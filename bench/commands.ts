import { createInterface } from "node:readline";

/** What a child process can be asked. */
export type Commands = Readonly<Record<string, (argument: never) => unknown>>;

/** The other end of a Child's questions. */
interface Question {
  readonly command: string;
  readonly argument: never;
}

/**
 * Answers each line of stdin with a line on stdout, in the order asked. Every process also tells its CPU time (`cpu`, user
 * and system together in µs, all threads) and its memory after a collection (`rss`, bytes). Ends with stdin: when the
 * benchmark is gone, nothing may be left running.
 */
export function answerCommands(commands: Commands): void {
  const all: Commands = { cpu, rss, ...commands };
  let answered = Promise.resolve();
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      const answer = run(all, JSON.parse(line) as Question);
      answered = answered.then(async () => console.log(await answer));
    })
    .on("close", () => process.exit(0));
}

async function run(commands: Commands, { command, argument }: Question): Promise<string> {
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
  // What one collection frees, finalisers free more of.
  for (let times = 0; times < 3; times++) {
    // What V8 does when memory is short: it also gives back what it keeps for the next burst. Types know no flavours.
    (globalThis.gc as ((options: object) => void) | undefined)?.(collection);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage.rss();
}
