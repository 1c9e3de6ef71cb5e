/** Files that options name. */
import { readFileSync } from "node:fs";

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EISDIR: "it is a folder",
};

/** The text of the file that an option names. Throws an error with one sentence that names both. */
export function readText(path: string, option: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
    throw new Error(`${option}: cannot read ${path}: ${reasons[code] ?? code}`, { cause });
  }
}
