import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import type { OpenedStore } from "../../src/testing/store-bench.ts";

/** Creates a temporary folder. The caller removes it. */
export function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), "tidings-store-"));
}

/** Opens an embedded store in a folder, which is removed when the store is closed for good. */
export async function openSqlite(keep = 10_000, folder = makeFolder()): Promise<OpenedStore> {
  let current = new SqliteStore({ folder, keep });
  const opened = async (): Promise<OpenedStore> => ({
    info: await current.open(),
    store: current,
    async reopen() {
      await current.close();
      current = new SqliteStore({ folder, keep });
      return opened();
    },
    async close() {
      await current.close();
      rmSync(folder, { recursive: true, force: true });
    },
  });
  return opened();
}
