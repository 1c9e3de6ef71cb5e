import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SqliteStore } from "../../../src/adapters/sqlite/store.ts";
import type { StoreHealth } from "../../../src/ports/store.ts";
import { reasonFrom } from "../../support/core.ts";
import { describeWith } from "../../support/require.ts";
import { appendOne, message, messages, readAll, upTo, userFeed } from "../../support/store-messages.ts";
import { StoreProcess } from "../../support/store-process.ts";
import { makeFolder } from "../../support/store-sqlite.ts";
import { findTool, pathOf } from "../../support/tools.ts";

let root: string;
let folder: string;
const stores: SqliteStore[] = [];

beforeEach(() => {
  root = makeFolder();
  folder = join(root, "data");
});
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  rmSync(root, { recursive: true, force: true });
});

/** Opens a store. The health is the latest that it has reported. */
async function open(options: { checkBytes?: number; log?: string[] } = {}) {
  const { checkBytes, log = [] } = options;
  const logger = Object.assign(Object.create(null), {
    info: (sentence: string) => log.push(sentence),
    warn: () => {},
  });
  const store = new SqliteStore({
    folder,
    keep: 1_000_000,
    logger,
    ...(checkBytes === undefined ? {} : { checkBytes }),
  });
  stores.push(store);
  await store.open();
  const seen: { health: StoreHealth } = { health: { state: "usable", reason: "" } };
  store.watch((health) => {
    seen.health = health;
  });
  return { store, seen };
}

/** Waits for a state. The files are looked at once a second. */
const becomes = (seen: { health: StoreHealth }, state: StoreHealth["state"]) =>
  expect.poll(() => seen.health.state, { timeout: 15_000 }).toBe(state);

describe("A data folder that is removed or replaced under a store", () => {
  const reason = () => `data folder ${folder} was removed or replaced while it was in use; put it back, or restart`;

  const changes: readonly (readonly [what: string, change: () => void])[] = [
    ["removed", () => rmSync(folder, { recursive: true })],
    ["without its database", () => rmSync(join(folder, "tidings.db"))],
    ["without its write-ahead log", () => rmSync(join(folder, "tidings.db-wal"))],
    [
      "another folder",
      () => {
        renameSync(folder, `${folder}-aside`);
        mkdirSync(folder);
      },
    ],
    [
      "restored from a copy of itself",
      () => {
        const file = join(folder, "tidings.db");
        const copy = readFileSync(file);
        rmSync(file);
        writeFileSync(file, copy);
      },
    ],
  ];

  test.each(changes)("lets no write be answered once it is %s", async (_what, change) => {
    const { store, seen } = await open();
    await Promise.all(upTo(20).map(() => appendOne(store, message("t"))));
    change();
    const outcomes = await Promise.all(
      upTo(20).map(() => reasonFrom(appendOne(store, message("t"))).catch(() => "answered")),
    );
    expect(new Set(outcomes)).toEqual(new Set(["STORE_UNAVAILABLE"]));
    expect(seen.health).toEqual({ state: "unusable", reason: reason() });
  });

  test.each(changes)("makes the store refuse writes and answer reads when it is %s", async (_what, change) => {
    const { store, seen } = await open();
    expect(await appendOne(store, message("t"))).toBe(1);
    change();
    await becomes(seen, "unusable");
    expect(seen.health.reason).toBe(reason());
    expect(await reasonFrom(appendOne(store, message("t")))).toBe("STORE_UNAVAILABLE");
    expect(await reasonFrom(store.saveReadState("t", "ann", { version: 1, json: "" }))).toBe("STORE_UNAVAILABLE");
    expect(await readAll(store, userFeed("t"))).toHaveLength(1);
  });

  test("lets the store go on when it is put back", async () => {
    const { store, seen } = await open();
    renameSync(folder, `${folder}-aside`);
    await becomes(seen, "unusable");
    renameSync(`${folder}-aside`, folder);
    await becomes(seen, "usable");
    expect(await appendOne(store, message("t"))).toBe(1);
  });

  test("leaves the files of another store alone when the first one closes", async () => {
    const first = await open();
    await appendOne(first.store, message("t"));
    renameSync(folder, `${folder}-aside`);
    const second = await open();
    await second.store.append(messages("t", 3));
    await becomes(first.seen, "unusable");
    await first.store.close();
    expect(await appendOne(second.store, message("t"))).toBe(4);
    await second.store.close();
    const again = await open();
    expect((await readAll(again.store, userFeed("t"))).map(({ seq }) => seq)).toEqual(upTo(4));
  });
});

const gcc = findTool("gcc", "apt-get install gcc");

describeWith(gcc)("A write-ahead log that cannot be written into the database", () => {
  test("makes the store unusable until it can, and then gives its space back", { timeout: 60_000 }, async () => {
    const library = join(root, "failing-writes.so");
    const source = join(import.meta.dirname, "../../support/failing-writes.c");
    execFileSync(pathOf(gcc), ["-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"]);
    const flag = join(root, "flag");
    const child = new StoreProcess("grow", folder, { LD_PRELOAD: library, FAIL_FLAG: flag });
    try {
      expect((await child.waitForLines(2))[1]).toMatch(/^usable/);
      writeFileSync(flag, "");
      const failing = (await child.waitForLines(3))[2];
      expect(failing).toMatch(
        /^unusable \d+ the write-ahead log of .+ cannot be written into tidings.db \(disk I\/O error\)/,
      );
      const size = statSync(join(folder, "tidings.db-wal")).size;
      expect(size).toBeGreaterThan(20 * 1024 * 1024);
      rmSync(flag);
      expect((await child.waitForLines(4))[3]).toMatch(/^usable/);
      expect(statSync(join(folder, "tidings.db-wal")).size).toBeLessThan(size);
    } finally {
      await child.kill();
    }
  });
});

describe("A file that is too large to be checked before it is used", () => {
  const page = 4096;
  /** Fills a database, and closes it. */
  const fill = async () => {
    const { store } = await open();
    await store.append(messages("t", 2000, (index) => ({ key: `k${index}`, digest: "d", body: new Uint8Array(500) })));
    await store.close();
  };
  /** Damages one page of messages in the middle of the file. The type of a page is its first byte. */
  const damage = () => {
    const file = join(folder, "tidings.db");
    const bytes = readFileSync(file);
    const leaf = 0x0d;
    let at = Math.floor(bytes.length / 2 / page) * page;
    while (bytes[at] !== leaf) at += page;
    bytes.fill(0xff, at, at + 8);
    writeFileSync(file, bytes);
  };

  test("is checked between calls, and the end of the check is logged", async () => {
    await fill();
    const log: string[] = [];
    const { store, seen } = await open({ checkBytes: 0, log });
    expect(await appendOne(store, message("t"))).toBe(2001);
    await expect.poll(() => log, { timeout: 15_000 }).toEqual([expect.stringMatching(/was checked in \d+ s$/)]);
    expect(seen.health.state).toBe("usable");
  });

  test("makes the store unusable and refuse writes when it turns out to be damaged", async () => {
    await fill();
    damage();
    const { store, seen } = await open({ checkBytes: 0 });
    await becomes(seen, "unusable");
    expect(seen.health.reason).toMatch(/^data folder .+ is damaged \(.+\); restore it from a backup$/);
    expect(await reasonFrom(appendOne(store, message("t")))).toBe("STORE_UNAVAILABLE");
  });

  test("fails only the calls that need a damaged page", async () => {
    await fill();
    damage();
    const { store } = await open({ checkBytes: 0 });
    const calls = [store.bounds([userFeed("t")]), store.readState("t", "ann"), store.find([userFeed("t")], [])];
    const [read, ...others] = await Promise.allSettled([readAll(store, userFeed("t")), ...calls]);
    expect(read.status).toBe("rejected");
    expect(others.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "fulfilled"]);
  });
});
