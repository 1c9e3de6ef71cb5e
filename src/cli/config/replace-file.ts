import { randomUUID } from "node:crypto";
import { mkdirSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Replaces the content of a file in one step, so that a reader, and a process that starts after a crash, finds the old content
 * or the new one. Creates its folder if that is missing. Only the owner may read them. Throws an Error that names the file.
 */
export function replaceFile(path: string, content: string): void {
  // A link, as managers of dotfiles make, stays one. Beside its target, because no rename crosses file systems.
  const target = resolveLink(path);
  // A rename would replace a device such as /dev/null for the whole machine.
  if (isSpecial(target)) throw new Error(`cannot write ${path}: it is not a regular file`);
  const draft = `${target}.${randomUUID().slice(0, 8)}.new`;
  try {
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    // A file that is there already was put there by somebody else, and may be a link.
    writeFileSync(draft, content, { mode: 0o600, flush: true, flag: "wx" });
    renameSync(draft, target);
  } catch (cause) {
    removeDraft(draft);
    throw new Error(`cannot write ${path}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
}

/** Reports whether there is a folder, a device, a pipe or a socket at a path. */
export function isSpecial(path: string): boolean {
  try {
    return !statSync(path).isFile();
  } catch {
    // It does not exist, or using it will fail with the same error.
    return false;
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
