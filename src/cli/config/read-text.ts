import { readFileSync } from "node:fs";

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EISDIR: "it is a folder",
};

/** Reads the file that an option names. Throws an error that names the option, the file and the reason. */
export function readText(path: string, option: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw unreadable(path, option, cause);
  }
}

/** The error for a file that an option names and that cannot be read. */
export function unreadable(path: string, option: string, cause: unknown): Error {
  const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
  return new Error(`${option}: cannot read ${path}: ${reasons[code] ?? code}`, { cause });
}
