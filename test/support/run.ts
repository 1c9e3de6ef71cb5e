import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

/** The path of the repository. */
export const root = join(import.meta.dirname, "../..");

/** Runs a program in the repository and returns its standard output. Rejects, with its output, when it fails. */
export async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, { cwd: root, timeout: 15_000 });
  return stdout;
}
