import { execFileSync } from "node:child_process";
import { chmodSync, closeSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Database } from "../../../src/adapters/sqlite/database.ts";
import { SqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { appendOne, message, messages, readAll, upTo, userFeed } from "../../support/store-messages.ts";
import { StoreProcess } from "../../support/store-process.ts";
import { makeFolder } from "../../support/store-sqlite.ts";

const keep = 1000;
let root: string;
let folder: string;
let file: string;
const opened: { close(): Promise<void> }[] = [];

beforeEach(() => {
  root = makeFolder();
  folder = root;
  file = join(folder, "tidings.db");
});
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  rmSync(root, { recursive: true, force: true });
});

async function openStore(): Promise<SqliteStore> {
  const store = new SqliteStore({ folder, keep });
  await store.open();
  opened.push(store);
  return store;
}

/** Makes a closed database of many pages. */
async function fill(): Promise<void> {
  const store = new SqliteStore({ folder, keep });
  await store.open();
  await store.append(messages("t", 500));
  await store.close();
}

async function startProcess(mode: "hold" | "load"): Promise<StoreProcess> {
  const child = new StoreProcess(mode, folder);
  opened.push({ close: () => child.kill() });
  expect((await child.waitForLines(1))[0]).toBe("open");
  return child;
}

/** Reads the database file without the store. */
function inspect<T>(read: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(file);
  try {
    return read(database);
  } finally {
    database.close();
  }
}

const version = () => inspect((database) => database.prepare("PRAGMA user_version").get()?.user_version);

describe("The lock of a store", () => {
  const inUse = () => `data folder ${folder} is in use by another process; stop it or name another folder`;

  test("refuses a second process while the first one lives, and is free when that is killed", async () => {
    const child = await startProcess("hold");
    await expect(openStore()).rejects.toThrow(inUse());
    await expect(openStore()).rejects.toThrow(inUse());
    await child.kill();
    const store = await openStore();
    expect(await appendOne(store, message("t"))).toBe(1);
  });

  test("refuses another process without disturbing this one", async () => {
    const store = await openStore();
    const child = new StoreProcess("hold", folder);
    expect(await child.waitForLines(1)).toEqual([`failed ${inUse()}`]);
    expect(await appendOne(store, message("t"))).toBe(1);
  });

  test("refuses a second store in the same process", async () => {
    const store = await openStore();
    await expect(openStore()).rejects.toThrow(inUse());
    expect(await appendOne(store, message("t"))).toBe(1);
  });

  test("refuses a second store while the first one is writing", async () => {
    const child = await startProcess("load");
    await child.waitForLines(100);
    await expect(openStore()).rejects.toThrow(inUse());
    await child.waitForLines(child.lines.length + 100);
  });
});

describe("A damaged file", () => {
  const flip = (offset: number, count: number) => {
    const bytes = readFileSync(file);
    const handle = openSync(file, "r+");
    writeSync(
      handle,
      bytes.subarray(offset, offset + count).map((byte) => byte ^ 0xff),
      0,
      count,
      offset,
    );
    closeSync(handle);
  };

  test.each([
    ["in its first bytes", () => flip(0, 16)],
    ["in its schema", () => flip(100, 8)],
    ["in the header of a page", () => flip(2 * 4096, 8)],
    ["in the middle of a page's pointers", () => flip(4 * 4096 + 12, 16)],
    ["the loss of its second half", () => truncateSync(file, Math.floor(readFileSync(file).length / 8192) * 4096)],
    ["another content altogether", () => writeFileSync(file, "this is a letter, and no database\n".repeat(200))],
  ])("is refused and not changed when the damage is %s", async (_how, damage) => {
    await fill();
    damage();
    const before = readFileSync(file);
    await expect(openStore()).rejects.toThrow(/^data folder .+ is damaged \(.+\); restore it from a backup$/);
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  test("whose header is damaged at any one byte is named as damaged, or opened as it was", {
    timeout: 60_000,
  }, async () => {
    await fill();
    const good = readFileSync(file);
    for (let offset = 0; offset < 100; offset++) {
      for (const mask of [0xff, 0x01, 0x80]) {
        const bytes = Buffer.from(good);
        bytes[offset] = (bytes[offset] ?? 0) ^ mask;
        writeFileSync(file, bytes);
        let sentence = "opened";
        try {
          new Database(folder).close();
        } catch (error) {
          sentence = (error as Error).message;
        }
        // A version that is a little too high cannot be told from that of a newer release.
        const expected = /^opened$|^data folder .+ (is damaged \(.+\); restore it|was written by a newer version)/;
        expect(sentence, `byte ${offset} ^ ${mask}`).toMatch(expected);
      }
    }
  });

  test("whose last commit was torn by a crash has everything before that commit", async () => {
    const child = await startProcess("load");
    await child.waitForLines(200);
    await child.kill();
    truncateSync(`${file}-wal`, readFileSync(`${file}-wal`).length - 1000);
    const store = await openStore();
    const entries = await readAll(store, userFeed("t"), 0);
    expect(entries.length).toBeGreaterThan(20);
    expect(entries.map(({ seq }) => seq)).toEqual(upTo(entries.length));
  });
});

describe("The schema", () => {
  test("of a newer version is refused and not changed", async () => {
    await fill();
    inspect((database) => database.exec("PRAGMA user_version = 99"));
    await expect(openStore()).rejects.toThrow(`data folder ${folder} was written by a newer version (schema 99)`);
    expect(version()).toBe(99);
  });

  test("is created in an empty database, which has version 0", async () => {
    inspect((database) => database.exec("CREATE TABLE scratch (a); DROP TABLE scratch"));
    expect(version()).toBe(0);
    const store = await openStore();
    expect(await appendOne(store, message("t"))).toBe(1);
    await store.close();
    expect(version()).toBeGreaterThan(0);
  });

  test("is created as a whole or not at all", async () => {
    inspect((database) => database.exec("CREATE TABLE read_states (a)"));
    await expect(openStore()).rejects.toThrow(/read_states/);
    expect(version()).toBe(0);
    const names = inspect((database) => database.prepare("SELECT name FROM sqlite_schema").all());
    expect(names.map(({ name }) => name)).toEqual(["read_states"]);
  });
});

describe("The data folder", () => {
  test("is created, with its parents", async () => {
    folder = join(folder, "a", "b");
    file = join(folder, "tidings.db");
    const store = await openStore();
    await appendOne(store, message("t"));
    await store.close();
    expect(version()).toBeGreaterThan(0);
  });

  test("is named in the error, with the reason, when it is on a read-only file system", async ({ skip }) => {
    const remount = (mode: string) => execFileSync("mount", ["-o", `remount,${mode}`, folder]);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], { stdio: "ignore" });
    } catch {
      return skip("only root may mount a file system");
    }
    try {
      const denied = new RegExp(`^data folder ${folder} cannot be written \\(EROFS: read-only file system\\)`);
      remount("ro");
      await expect(openStore()).rejects.toThrow(denied);
      remount("rw");
      await fill();
      remount("ro");
      await expect(openStore()).rejects.toThrow(denied);
      folder = join(folder, "below");
      await expect(openStore()).rejects.toThrow(`data folder ${folder} cannot be created (`);
    } finally {
      execFileSync("umount", ["-l", root]);
    }
  });

  test("is named in the error, with the reason, when the user may not write to it", async ({ skip }) => {
    if (process.getuid?.() === 0) return skip("root may write everywhere");
    chmodSync(folder, 0o500);
    try {
      await expect(openStore()).rejects.toThrow(`data folder ${folder} cannot be written (EACCES: permission denied)`);
    } finally {
      chmodSync(folder, 0o700);
    }
  });

  test("is named in the error when it cannot be created", async () => {
    const taken = join(folder, "taken");
    writeFileSync(taken, "");
    folder = taken;
    await expect(openStore()).rejects.toThrow(taken);
  });
});
