/** Examples as their readers run them: by the command that README.md prints. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../support/run.ts";

/** The example's names, in README's order. */
export const commands: ReadonlyMap<string, string> = new Map(
  [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^\|.*`(npm run example -- (\S+))` \|$/gm)].map(
    ([, command = "", name = ""]) => [name, command],
  ),
);

/** A running example. */
export interface RunningExample {
  /** What it told to open. */
  readonly url: string;
  /** Ends it as Ctrl-C would; what it said at the end. */
  stop(): Promise<string>;
}

/** Starts an example and waits until it says what to open. Throws, with what it said, when it ends before. */
export async function startExample(name: string): Promise<RunningExample> {
  const child = start(name);
  const closed = once(child, "close") as Promise<[number | null]>;
  let said = "";
  const url = await new Promise<string>((resolve, reject) => {
    const hear = (chunk: string) => {
      said += chunk;
      const [found] = /http:\/\/127\.0\.0\.1:\d+\//.exec(said) ?? [];
      if (found) resolve(found);
    };
    child.stdout?.setEncoding("utf8").on("data", hear);
    child.stderr?.setEncoding("utf8").on("data", hear);
    void closed.then(([code]) => reject(new Error(`${name} ended with ${code}: ${said}`)));
  });
  return {
    url,
    async stop() {
      const before = said.length;
      signal(child, "SIGINT");
      // Once all of the group have closed their output, npm as well as the example.
      await closed;
      return said.slice(before).trim();
    },
  };
}

/** Runs an example that ends by itself; what it printed. Throws, with that, unless it ends well. */
export async function runExample(name: string): Promise<string> {
  const child = start(name);
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      said += chunk;
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${said}`);
  return said;
}

/** In a group of its own: npm, its shell and the example end together, as they do on Ctrl-C. */
function start(name: string): ChildProcess {
  const [program = "", ...args] = (commands.get(name) ?? "").split(" ");
  if (!program) throw new Error(`README.md has no command for ${name}`);
  return spawn(program, args, { cwd: root, detached: true, stdio: ["ignore", "pipe", "pipe"] });
}

function signal({ pid }: ChildProcess, name: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(-pid, name);
}
