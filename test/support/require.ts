import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * The path of a program on PATH. Without it: prints one line that says what is skipped and how to get it, and returns
 * `undefined`; or throws, where nothing may be skipped (TIDINGS_TEST_REQUIRE_ALL=1).
 */
export function findTool(name: string, hint: string): string | undefined {
  const found = (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(isExecutable);
  if (found !== undefined) return found;
  if (process.env.TIDINGS_TEST_REQUIRE_ALL === "1") throw new Error(`${name} is missing: ${hint}`);
  console.log(`skipped: tests that need ${name} (${hint})`);
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
