import { type BigIntStats, statSync } from "node:fs";
import { stat } from "node:fs/promises";

/** Identifies a file on its machine, whatever its path: the device and the inode. */
export type FileId = string;

/** Returns the id of the file at a path; undefined if there is none. */
export function fileIdAt(path: string): FileId | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && idOf(stats);
}

/** A file as it is found on the disk. */
export interface FoundFile {
  readonly id: FileId;
  /** In bytes. */
  readonly size: number;
}

/** Finds the file at a path; resolves to undefined if there is none. Rejects if the system does not tell. */
export async function findFile(path: string): Promise<FoundFile | undefined> {
  try {
    const stats = await stat(path, { bigint: true });
    return { id: idOf(stats), size: Number(stats.size) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

function idOf({ dev, ino }: BigIntStats): FileId {
  return `${dev}:${ino}`;
}
