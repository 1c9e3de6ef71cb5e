import { chmodSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { exposureOf } from "../../../src/adapters/sqlite/file-modes.ts";
import { SqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { createTidings } from "../../../src/server.ts";
import { memoryLogger } from "../../e2e/bad-input/stage.ts";
import { appendOne, message } from "../../support/store-messages.ts";
import { makeFolder } from "../../support/store-sqlite.ts";
import { secret } from "../../support/token.ts";

let root: string;
let folder: string;
let umask: number;
beforeEach(() => {
  root = makeFolder();
  folder = join(root, "data");
  // The usual umask, with which everybody could read files that are created without a mode.
  umask = process.umask(0o022);
});
afterEach(() => {
  process.umask(umask);
  rmSync(root, { recursive: true, force: true });
});

const mode = (...path: string[]) => (statSync(join(folder, ...path)).mode & 0o777).toString(8);

/** Opens the store, appends a message, and calls `look` while the store is open. */
async function open(look: () => void): Promise<void> {
  const store = new SqliteStore({ folder, keep: 100 });
  try {
    await store.open();
    await appendOne(store, message("t"));
    look();
  } finally {
    await store.close();
  }
}

describe("The embedded store", () => {
  test("creates its folder and files for the owner alone", async () => {
    await open(() => {
      expect([mode(), mode("tidings.db"), mode("tidings.db-wal")]).toEqual(["700", "600", "600"]);
    });
  });

  test("makes existing files private, and keeps the mode of an existing folder", async () => {
    mkdirSync(folder, { mode: 0o755 });
    await open(() => {});
    for (const name of ["tidings.db", "tidings.db-journal"]) {
      writeFileSync(join(folder, name), "", { flag: "a" });
      chmodSync(join(folder, name), 0o664);
    }
    await open(() => {
      expect([mode(), mode("tidings.db"), mode("tidings.db-wal")]).toEqual(["755", "600", "600"]);
    });
    expect(exposureOf(folder)).toBeUndefined();
  });

  test("gives the owner no permission that the owner did not have", async () => {
    await open(() => {});
    chmodSync(join(folder, "tidings.db"), 0o640);
    await open(() => {
      expect(mode("tidings.db")).toBe("600");
    });
  });

  test("keeps its lock when the same process tries to open it again", async () => {
    await open(() => {});
    const store = new SqliteStore({ folder, keep: 100 });
    await store.open();
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(new SqliteStore({ folder, keep: 100 }).open()).rejects.toThrow("is in use by another process");
    }
    await store.close();
  });
});

describe("The exposure of a data folder", () => {
  test("is reported where other users may write in the folder or open a file", async () => {
    await open(() => {});
    expect(exposureOf(folder)).toBeUndefined();
    chmodSync(folder, 0o775);
    expect(exposureOf(folder)).toBeUndefined();
    chmodSync(folder, 0o777);
    expect(exposureOf(folder)).toBe(
      `other users of the machine can replace files in the data folder ${folder} (mode 777): run chmod 700`,
    );
    chmodSync(join(folder, "tidings.db"), 0o604);
    expect(exposureOf(folder)).toMatch(/other users of the machine can open .*tidings\.db \(mode 604\)/);
    expect(exposureOf(join(folder, "missing"))).toBeUndefined();
  });

  test("is logged by a server that starts on it", async () => {
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    const { logger, lines } = memoryLogger();
    await (await createTidings({ data: folder, auth: { secret }, logger })).close();
    const sentences = lines.map((line) => (JSON.parse(line) as { msg: string }).msg);
    expect(sentences).toContainEqual(expect.stringMatching(/^other users of the machine can replace files/));
    chmodSync(folder, 0o755);
    lines.length = 0;
    await (await createTidings({ data: folder, auth: { secret }, logger })).close();
    expect(lines.filter((line) => line.includes("other users"))).toEqual([]);
  });
});
