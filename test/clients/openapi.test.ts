/** A client in Python that is generated from the /openapi.json of a server. */
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";
import { testWith } from "../support/require.ts";
import { root } from "../support/run.ts";
import { newTenant, startServer } from "../support/server.ts";
import { findTool, pathOf } from "../support/tools.ts";

const python = findTool("python3", "apt-get install python3-venv");
const sources = join(import.meta.dirname, "openapi");

testWith(python)("A client generated from /openapi.json publishes, lists, and reads feeds and errors", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tidings-openapi-"));
  const environment = join(root, "node_modules/.cache/tidings-openapi-python");
  const run = async (program: string, ...args: string[]) =>
    (await promisify(execFile)(program, args, { cwd: folder })).stdout;
  const wanted = readFileSync(join(sources, "requirements.txt"), "utf8");
  const installed = join(environment, "installed.txt");
  if (!existsSync(installed) || readFileSync(installed, "utf8") !== wanted) {
    rmSync(environment, { recursive: true, force: true });
    await run(pathOf(python), "-m", "venv", environment);
    await run(join(environment, "bin/pip"), "install", "--quiet", "-r", join(sources, "requirements.txt"));
    writeFileSync(installed, wanted);
  }
  const server = await startServer();
  try {
    cpSync(sources, folder, { recursive: true });
    const generated = await run(
      join(environment, "bin/openapi-python-client"),
      ...["generate", "--url", `${server.url}/openapi.json`, "--meta", "none", "--output-path", "tidings_api"],
      ...["--config", "config.yml"],
    );
    expect(generated).not.toMatch(/warning|error/i);
    const tenant = newTenant();
    const tokens = [await server.token({ role: "service", tenant }), await server.token({ sub: "ann", tenant })];
    const printed = await run(join(environment, "bin/python"), "main.py", server.url, ...tokens);
    expect(printed.split("\n")).toEqual([
      "36 ann True",
      "Hello {'task': [7]} 1 True",
      "[] 1",
      "['Hello']",
      "invalid_argument FIELD_INVALID audience.user_id",
      "200",
      "",
    ]);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true });
  }
});
