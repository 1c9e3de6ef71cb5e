/** Virtual environments of Python, kept below node_modules/.cache until their packages change. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const cache = join(import.meta.dirname, "../node_modules/.cache");

/**
 * Returns the folder of the programs of an environment with the packages that `pip install <args>` installs. `key` is a text
 * that changes with them, such as the file that names them; `python` is the interpreter.
 */
export function pythonEnvironment(name: string, key: string, args: readonly string[], python = "python3"): string {
  const version = execFileSync(python, ["--version"], { encoding: "utf8" });
  const hash = createHash("sha256").update(`${version}\0${args}\0${key}`).digest("hex").slice(0, 16);
  const folder = join(cache, `${name}-${hash}`);
  const done = join(folder, "installed");
  if (!existsSync(done)) {
    // The programs of an environment name its folder, so it cannot be made elsewhere and moved; the mark comes last.
    rmSync(folder, { recursive: true, force: true });
    execFileSync(python, ["-m", "venv", folder]);
    const options = ["--quiet", "--disable-pip-version-check"];
    execFileSync(join(folder, "bin/python"), ["-m", "pip", "install", ...options, ...args], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    writeFileSync(done, "");
  }
  return join(folder, "bin");
}
