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
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
    throw new Error(`${option}: cannot read ${path}: ${reasons[code] ?? code}`, { cause });
  }
}
