/** Examples in other languages: programs that publish to a running server and exit. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Running } from "./serve.ts";

/** The command of each program. A program finds its server in TIDINGS_URL and its token in TIDINGS_TOKEN. */
export const programs = {
  python: ["bash", "examples/python/run.sh"],
  go: ["bash", "examples/go/run.sh"],
  php: ["php", "examples/php/publish.php"],
} as const;

/** Whether there is a program of this name. */
export function isProgram(name: string): name is keyof typeof programs {
  return Object.hasOwn(programs, name);
}

/** Runs a program against a server, with the output of this process. Returns its exit code. */
export async function runProgram(name: keyof typeof programs, { url, token }: Running): Promise<number> {
  const [command, ...args] = programs[name];
  const child = spawn(command, args, {
    cwd: fileURLToPath(new URL("../../", import.meta.url)),
    env: { ...process.env, TIDINGS_URL: url, TIDINGS_TOKEN: token },
    stdio: ["ignore", "inherit", "inherit"],
  });
  try {
    const [code] = (await once(child, "close")) as [number | null];
    return code ?? 1;
  } catch (error) {
    console.error(`${command} cannot be run: ${(error as Error).message}`);
    return 127;
  }
}
