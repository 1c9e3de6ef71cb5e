import { accessSync, constants, existsSync } from "node:fs";
import { dirname } from "node:path";

/** Primary result codes of SQLite (https://www.sqlite.org/rescode.html). */
export const resultCodes = {
  error: 1,
  busy: 5,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26,
} as const;

/** Codes of system errors that say that a file may not be created. */
const deniedCodes: ReadonlySet<string> = new Set(["EACCES", "EPERM", "EROFS"]);

/** Returns the primary result code of an error of SQLite; 0 for any other error. */
export function resultCode(error: unknown): number {
  // The low byte of an extended result code is the primary one.
  return ((error as { errcode?: number } | undefined)?.errcode ?? 0) & 0xff;
}

/** Reports whether a primary result code says that the content of the file is damaged, rather than the disk or the call. */
export function isDamage(code: number): boolean {
  return code === resultCodes.corrupt || code === resultCodes.notADatabase;
}

/** Returns the error of a damaged file. */
export function damaged(folder: string, detail: string, cause?: unknown): Error {
  const sentence = `data folder ${folder} is damaged (${detail.replaceAll("\n", " ")}); restore it from a backup`;
  return new Error(sentence, { cause });
}

/** Returns the error of a file that is not the one that was opened first. */
export function moved(folder: string): Error {
  return new Error(`data folder ${folder} was removed or replaced while it was in use; put it back, or restart`);
}

/** Returns an error that tells an operator why a data folder cannot be opened, and what to do where something can be done. */
export function explain(error: unknown, folder: string, file: string): unknown {
  const { message } = error as Error;
  const code = resultCode(error);
  const mayBeDenied =
    code === resultCodes.readOnly ||
    code === resultCodes.cannotOpen ||
    code === resultCodes.ioError ||
    (deniedCodes.has((error as NodeJS.ErrnoException).code ?? "") && existsSync(dirname(file)));
  const denial = mayBeDenied ? findDenial(file) : undefined;
  if (denial !== undefined) {
    const sentence = `data folder ${folder} cannot be written (${denial}); let the user of this process write to it`;
    return new Error(sentence, { cause: error });
  }
  switch (code) {
    case resultCodes.busy:
      return new Error(`data folder ${folder} is in use by another process; stop it or name another folder`, {
        cause: error,
      });
    case resultCodes.corrupt:
    case resultCodes.notADatabase:
      return damaged(folder, message, error);
    case resultCodes.readOnly:
      // SQLite does not write to a file whose header names a write version that it does not know.
      return damaged(folder, "its header has an unknown write version", error);
    case resultCodes.full:
      return new Error(`the disk of data folder ${folder} is full; free some space`, { cause: error });
    case resultCodes.cannotOpen:
    case resultCodes.ioError:
      return new Error(`data folder ${folder} cannot be read or written (${message}); look at its disk`, {
        cause: error,
      });
    case resultCodes.error:
      return /unsupported file format/.test(message) ? damaged(folder, message, error) : error;
    default:
      return isSystemError(error)
        ? new Error(`data folder ${folder} cannot be created (${message})`, { cause: error })
        : error;
  }
}

function isSystemError(error: unknown): boolean {
  return typeof (error as NodeJS.ErrnoException).syscall === "string";
}

/** Returns the system's reason why this process may not write the file or its folder; undefined if it may. */
function findDenial(file: string): string | undefined {
  try {
    accessSync(dirname(file), constants.R_OK | constants.W_OK | constants.X_OK);
    if (existsSync(file)) accessSync(file, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(/, access.*$/, "");
  }
}
