import { existsSync, renameSync, rmSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SqliteStore } from "../../../src/adapters/sqlite/store.ts";
import type { StoreHealth } from "../../../src/ports/store.ts";
import { reasonFrom } from "../../support/core.ts";
import { appendOne, message, messages, readAll, upTo, userFeed } from "../../support/store-messages.ts";
import { makeFolder } from "../../support/store-sqlite.ts";

let folder: string;
let store: SqliteStore;
/** The threads of the store, the present one last. */
const threads: Worker[] = [];
const health: StoreHealth[] = [];

beforeEach(() => {
  folder = makeFolder();
  threads.length = health.length = 0;
  const post = Worker.prototype.postMessage;
  vi.spyOn(Worker.prototype, "postMessage").mockImplementation(function (this: Worker, ...args) {
    if (threads.at(-1) !== this) threads.push(this);
    return post.apply(this, args);
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await store.close().catch(() => {});
  rmSync(folder, { recursive: true, force: true });
});

async function open(): Promise<void> {
  store = new SqliteStore({ folder, keep: 1000 });
  await store.open();
  store.watch((seen) => health.push(seen));
}

/** A thread takes a moment to start on a busy machine. */
const slow = { timeout: 15_000 };
const kill = () => threads.at(-1)?.terminate();
const states = () => health.map(({ state }) => state);

describe("The thread of a store that dies", () => {
  test("fails the calls that it has once, and is restarted on the same file for all others", async () => {
    await open();
    await appendOne(store, message("t"));
    // An append that takes the thread much longer than its end, and a call behind it.
    const sent = [store.append(messages("t", 5_000)), store.bounds([userFeed("t")])].map(reasonFrom);
    // The end of this event-loop tick sends the calls.
    await new Promise(setImmediate);
    const dying = kill();
    const waiting = [appendOne(store, message("t")), appendOne(store, message("t"))];
    expect(await Promise.all(sent)).toEqual(["STORE_UNAVAILABLE", "STORE_UNAVAILABLE"]);
    const seqs = await Promise.all(waiting);
    await dying;
    const entries = await readAll(store, userFeed("t"));
    // Nobody knows whether the lost append was stored.
    expect(seqs).toEqual([entries.length - 1, entries.length]);
    expect(entries.map(({ seq }) => seq)).toEqual(upTo(entries.length));
    expect(states()).toEqual(["usable", "unusable", "usable"]);
    expect(store.figures().restarts).toBe(1);
  });

  test("is not restarted on another file than its own", async () => {
    await open();
    await appendOne(store, message("t"));
    const aside = `${folder}-aside`;
    renameSync(folder, aside);
    try {
      await kill();
      await expect.poll(() => states().at(-1), slow).toBe("failed");
      expect(health.at(-1)?.reason).toContain(`data folder ${folder} was removed or replaced`);
      expect(existsSync(folder)).toBe(false);
      expect(await reasonFrom(store.bounds([]))).toBe("STORE_UNAVAILABLE");
    } finally {
      rmSync(aside, { recursive: true });
    }
  });

  test("is opened again on the same file once that is back", async () => {
    await open();
    await appendOne(store, message("t"));
    const aside = `${folder}-aside`;
    renameSync(folder, aside);
    await kill();
    await expect.poll(() => threads.length, slow).toBeGreaterThan(1);
    renameSync(aside, folder);
    expect(await appendOne(store, message("t"))).toBe(2);
    await expect.poll(() => states().at(-1), slow).toBe("usable");
  });

  test("again and again is given up after five times in a minute", async () => {
    await open();
    for (const restarts of upTo(5)) {
      await kill();
      await expect.poll(() => store.figures().restarts, slow).toBe(restarts);
    }
    expect(await appendOne(store, message("t"))).toBe(1);
    await kill();
    await expect.poll(() => states().at(-1), slow).toBe("failed");
    expect(health.at(-1)?.reason).toContain("died 6 times within a minute");
    expect(await reasonFrom(appendOne(store, message("t")))).toBe("STORE_UNAVAILABLE");
    await store.close();
  });

  test("takes a database in memory along", async () => {
    store = new SqliteStore({ folder: ":memory:", keep: 1000 });
    await store.open();
    store.watch((seen) => health.push(seen));
    // It takes the thread much longer than its end.
    const call = reasonFrom(store.append(messages("t", 5_000)));
    await new Promise(setImmediate);
    await kill();
    expect(await call).toBe("STORE_UNAVAILABLE");
    await expect.poll(() => states(), slow).toEqual(["usable", "unusable", "failed"]);
  });

  test("while the store closes is not restarted", async () => {
    await open();
    const closing = store.close().catch(() => {});
    await kill();
    await closing;
    expect(await reasonFrom(store.bounds([]))).toBe("STORE_UNAVAILABLE");
    expect(states()).toEqual(["usable"]);
  });
});
