/** Runs examples by the commands that README.md prints. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../support/run.ts";

/** The commands of the examples by name, in the order of README.md. */
export const commands: ReadonlyMap<string, string> = new Map(
  [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^\|.*`(npm run example -- (\S+))` \|$/gm)].map(
    ([, command = "", name = ""]) => [name, command],
  ),
);

/** A running example. */
export interface RunningExample {
  /** The URL that the example printed. */
  readonly url: string;
  /** Stops it as Ctrl-C would. Returns the output after that. */
  stop(): Promise<string>;
}

/** Starts an example and waits for its URL. Throws an error with its output if it exits before. */
export async function startExample(name: string): Promise<RunningExample> {
  const child = start(name);
  const closed = once(child, "close") as Promise<[number | null]>;
  let output = "";
  const url = await new Promise<string>((resolve, reject) => {
    const read = (chunk: string) => {
      output += chunk;
      const [found] = /http:\/\/127\.0\.0\.1:\d+\//.exec(output) ?? [];
      if (found) resolve(found);
    };
    child.stdout?.setEncoding("utf8").on("data", read);
    child.stderr?.setEncoding("utf8").on("data", read);
    void closed.then(([code]) => reject(new Error(`${name} ended with ${code}: ${output}`)));
  });
  return {
    url,
    async stop() {
      const before = output.length;
      signal(child, "SIGINT");
      // Resolves when every process of the group has closed its output.
      await closed;
      return output.slice(before).trim();
    },
  };
}

/** Runs an example that exits by itself, and returns its output. Throws an error with its output if it fails. */
export async function runExample(name: string): Promise<string> {
  const child = start(name);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${output}`);
  return output;
}

/** Starts an example in a process group of its own, so that npm, its shell and the example stop together. */
function start(name: string): ChildProcess {
  const [program = "", ...args] = (commands.get(name) ?? "").split(" ");
  if (!program) throw new Error(`README.md has no command for ${name}`);
  return spawn(program, args, { cwd: root, detached: true, stdio: ["ignore", "pipe", "pipe"] });
}

function signal({ pid }: ChildProcess, name: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(-pid, name);
}
