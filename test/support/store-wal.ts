import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Counts the commits in the write-ahead log of an embedded store. A commit ends with a frame that gives the size of the
 * database, and valid frames have the salts of the log's header (https://www.sqlite.org/fileformat2.html#walformat).
 */
export function countCommits(folder: string): number {
  const file = join(folder, "tidings.db-wal");
  const log = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  if (log.length < 32) return 0;
  const pageSize = log.readUInt32BE(8);
  const salts = log.subarray(16, 24);
  let commits = 0;
  for (let at = 32; at + 24 + pageSize <= log.length; at += 24 + pageSize) {
    if (!log.subarray(at + 8, at + 16).equals(salts)) break;
    if (log.readUInt32BE(at + 4) > 0) commits++;
  }
  return commits;
}
