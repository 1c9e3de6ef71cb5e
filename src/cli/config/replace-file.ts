import { mkdirSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Replaces the content of a file in one step, so that a reader, and a process that starts after a crash, finds the old content
 * or the new one. Creates its folder if that is missing. Only the owner may read them. Throws an Error that names the file.
 */
export function replaceFile(path: string, content: string): void {
  const draft = `${path}.${process.pid}.new`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(draft, content, { mode: 0o600, flush: true });
    // A link, as managers of dotfiles make, stays one.
    renameSync(draft, resolveLink(path));
  } catch (cause) {
    removeDraft(draft);
    throw new Error(`cannot write ${path}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
}

function removeDraft(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The error that is reported is the first one.
  }
}

function resolveLink(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
