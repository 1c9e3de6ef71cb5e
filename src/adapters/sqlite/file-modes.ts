/**
 * File modes of the embedded store. The database holds every message and the secret of page tokens, and with the usual
 * umask of 022 every user of the machine could read it.
 */
import { chmodSync, closeSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { createFolder } from "../../util/create-folder.ts";

const ownersFolder = 0o700;
const ownersFile = 0o600;
/** The permissions of the group and of others. */
const foreignBits = 0o077;
const othersWrite = 0o002;

/** The name of the database in its folder. */
export const databaseName = "tidings.db";
/** The suffixes of SQLite's files: the database, and those beside it, which SQLite creates with the mode of the database. */
const suffixes = ["", "-wal", "-shm", "-journal"];

/**
 * Creates the folder with mode 700 and an empty database with mode 600, and returns the path of the database. The group and
 * others lose access to the files of an existing database, which only the server can open anyway. An existing folder keeps
 * its mode, since it may be a mount point or hold other files; see exposureOf. Call it before the database is opened,
 * because closing a file drops the locks that the same process holds on it.
 */
export function prepareFolder(folder: string): string {
  createFolder(folder, ownersFolder);
  const file = join(folder, databaseName);
  try {
    closeSync(openSync(file, "wx", ownersFile));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    for (const suffix of suffixes) tighten(file + suffix);
  }
  return file;
}

/**
 * Returns a sentence for the operator where other users of the machine can open or replace the files of an opened store;
 * undefined where they cannot, and on Windows, which has no such modes.
 */
export function exposureOf(folder: string): string | undefined {
  if (process.platform === "win32") return undefined;
  const file = join(folder, databaseName);
  const fileMode = modeOf(file);
  const folderMode = modeOf(folder);
  if ((fileMode & foreignBits) !== 0) {
    return `other users of the machine can open ${file} (mode ${fileMode.toString(8)}), which the server cannot change: run chmod 600 as its owner`;
  }
  if ((folderMode & othersWrite) !== 0) {
    return `other users of the machine can replace files in the data folder ${folder} (mode ${folderMode.toString(8)}): run chmod 700`;
  }
  return undefined;
}

/** Removes the permissions of the group and others from a file, if it exists and its mode can be changed. */
function tighten(path: string): void {
  try {
    const mode = modeOf(path);
    if ((mode & foreignBits) !== 0) chmodSync(path, mode & ~foreignBits);
  } catch {
    // It has another owner, or a file system that is read-only or has no modes; exposureOf reports what remains.
  }
}

function modeOf(path: string): number {
  return (statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o777;
}
