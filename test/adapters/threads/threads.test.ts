import { rmSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ThreadHost } from "../../../src/adapters/threads/host.ts";
import type { EntryNotice } from "../../../src/ports/bus.ts";
import type { Connection, JoinMode } from "../../../src/ports/presence.ts";
import type { AppendResult, Commit, Entry, FeedSlice } from "../../../src/ports/store.ts";
import { EventLoopThread, startThreads } from "../../support/event-loop-thread.ts";
import { message, messages, start, upTo, userFeed } from "../../support/store-messages.ts";
import { makeFolder } from "../../support/store-sqlite.ts";
import { openThreads } from "../../support/threads.ts";

let folder: string;
let host: ThreadHost | undefined;
let threads: EventLoopThread[];
let storeThread: Worker;

const slow = { timeout: 15_000 };
const feed = userFeed("t");
const entry = (seq: number, size = 10): EntryNotice => ({
  type: "entry",
  feed,
  epoch: 1,
  seq,
  id: `id-${seq}`,
  body: new Uint8Array(size).fill(seq),
  expireTime: Number.POSITIVE_INFINITY,
});
const connection = (id: string): Connection => ({ id, tenant: "t", user: `user-${id}` });
const losses = (thread: EventLoopThread | undefined, certain: boolean) =>
  thread?.heard.filter((event) => event.type === "lost" && event.certain === certain).length ?? 0;
const seqs = (thread: EventLoopThread | undefined) =>
  thread?.heard.flatMap((event) => (event.type === "entry" ? [event.seq] : [])) ?? [];

async function open(count: number): Promise<void> {
  host = new ThreadHost({ folder, keep: 100_000 });
  const post = vi.spyOn(Worker.prototype, "postMessage");
  await host.open();
  storeThread = post.mock.contexts[0] as Worker;
  post.mockRestore();
  threads = await startThreads(host, count);
}

beforeEach(() => {
  folder = makeFolder();
  host = undefined;
  threads = [];
});
afterEach(async () => {
  await Promise.all(threads.map((thread) => thread.end()));
  await host?.close().catch(() => {});
  rmSync(folder, { recursive: true, force: true });
});

describe("Three event-loop threads of one process", () => {
  test("append to one store without a gap or a duplicate, and each reads everything", async () => {
    await open(3);
    const batches = await Promise.all(
      upTo(30).map((index) => threads[index % 3]?.call<AppendResult[]>("store", "append", messages("t", 5))),
    );
    const given = batches.flatMap((results = []) => results.flatMap((each) => ("seqs" in each ? each.seqs : [])));
    expect(given.toSorted((a, b) => a - b)).toEqual(upTo(150));
    for (const thread of threads) {
      const { entries } = await thread.call<FeedSlice>("store", "read", feed, 0, 1000, 1000, start);
      expect(entries.map(({ seq }: Entry) => seq)).toEqual(upTo(150));
    }
    await Promise.all(threads.map((thread) => thread.close()));
  });

  test("hear each other's notices in order, with large bodies and small ones", async () => {
    await open(3);
    const sent = upTo(50).map((seq) => entry(seq, seq % 10 === 0 ? 40_000 : 100));
    for (const notice of sent) void threads[0]?.publish(notice);
    for (const thread of threads) {
      await expect.poll(() => seqs(thread), slow).toEqual(upTo(50));
      expect(thread.heard.filter(({ type }) => type === "entry")).toEqual(sent);
    }
  });

  test("miss nothing of a feed that they begin to follow while another one publishes to it", async () => {
    await open(2);
    const [publisher, follower] = threads as [EventLoopThread, EventLoopThread];
    for (const round of upTo(40)) {
      const followed = userFeed("t", `user-${round}`);
      const [, { end, beyond }] = await Promise.all([publisher.announce(followed, 10), follower.follow(followed, 10)]);
      expect(beyond).toEqual(upTo(10).slice(end));
    }
  });

  test("admit one of 30 connections that join a room by FIRST at once", async () => {
    await open(3);
    const join = (index: number, mode: JoinMode) =>
      threads[index % 3]?.call<boolean>("presence", "join", {
        connection: connection(`${index}`),
        room: "r",
        mode,
        instance: "",
      });
    const joined = await Promise.all(upTo(30).map((index) => join(index, "first")));
    expect(joined.filter(Boolean)).toHaveLength(1);
    expect(await join(31, "last")).toBe(true);
    const kicks = () => threads.flatMap(({ changes }) => changes.filter(({ type }) => type === "kicked"));
    await expect.poll(kicks, slow).toHaveLength(1);
    // The thread of the connection is the one that hears it.
    const owner = joined.indexOf(true) + 1;
    expect(threads[owner % 3]?.changes).toContainEqual({ type: "kicked", connection: `${owner}`, room: "r" });
  });

  test("spend from one token bucket", async () => {
    await open(3);
    const charge = { limit: "l", key: "k", cost: 1, rate: { perSecond: 0.001, burst: 100 } };
    const take = (thread: EventLoopThread | undefined) => thread?.call("limiter", "take", [charge]);
    for (const _ of upTo(100)) await take(threads[0]);
    // The other threads learn it by their own reports, so each of them allows a tenth of a burst at first.
    for (const thread of threads.slice(1)) await expect.poll(() => take(thread), slow).toBeDefined();
  });
});

test("Calls of several threads that wait for the store share a commit, which is counted once", async () => {
  const commits: Commit[] = [];
  const { threads: inside, close } = await openThreads(3, folder, 100_000, (commit) => commits.push(commit));
  // The store's thread is busy with the first call when the others arrive, unless the machine keeps this thread waiting.
  const round = async () => {
    commits.length = 0;
    const busy = inside[0]?.store.append(messages("t", 3000));
    await new Promise(setImmediate);
    await Promise.all([busy, ...inside.map(({ store }) => store.append([message("t")]))]);
    expect(commits.reduce((sum, each) => sum + each.messages, 0)).toBe(3003);
    return commits.length;
  };
  await expect.poll(round, slow).toBeLessThanOrEqual(2);
  await close();
});

describe("A thread that is terminated", () => {
  test("in mid-call leaves the store to the others", async () => {
    await open(3);
    const [doomed, ...others] = threads as [EventLoopThread, ...EventLoopThread[]];
    const lost = upTo(20).map(() => doomed.call("store", "append", messages("t", 500)).catch(() => "lost"));
    const kept = others.map((thread) => thread.call<AppendResult[]>("store", "append", [message("t")]));
    await doomed.end();
    await Promise.all(lost);
    for (const results of await Promise.all(kept)) expect(results).toMatchObject([{ outcome: "stored" }]);
    const slices = await Promise.all(
      others.map((thread) => thread.call<FeedSlice>("store", "read", feed, 0, 100_000, 100_000, start)),
    );
    const [bounds] = slices.map((slice) => slice.bounds.seq);
    for (const slice of slices) expect(slice.bounds.seq).toBe(bounds);
  });

  test("takes its connections out of every count and room at once", async () => {
    await open(2);
    const [doomed, other] = threads as [EventLoopThread, EventLoopThread];
    await doomed.call("presence", "enter", connection("1"));
    const wish = { room: "r", mode: "first", instance: "" };
    expect(await doomed.call("presence", "join", { connection: connection("1"), ...wish })).toBe(true);
    expect(await other.call("presence", "join", { connection: connection("2"), ...wish })).toBe(false);
    expect(await other.call("presence", "count", "t")).toEqual({ users: 1, connections: 1 });
    await doomed.end();
    expect(await other.call("presence", "count", "t")).toEqual({ users: 0, connections: 0 });
    expect(await other.call("presence", "join", { connection: connection("2"), ...wish })).toBe(true);
    await expect.poll(() => other.changes, slow).toContainEqual({ type: "count", tenant: "t" });
  });

  test("makes the others ask the store for what it may not have announced", async () => {
    await open(3);
    const [doomed, ...others] = threads as [EventLoopThread, ...EventLoopThread[]];
    await doomed.publish(entry(1));
    await doomed.end();
    for (const thread of others) await expect.poll(() => losses(thread, true), slow).toBe(1);
  });

  test("is not missed when it has closed its ports before", async () => {
    await open(3);
    const [leaving, other] = threads as [EventLoopThread, EventLoopThread];
    await leaving.publish(entry(1));
    await leaving.close();
    await threads[2]?.publish(entry(2));
    await expect.poll(() => seqs(other), slow).toEqual([1, 2]);
    expect(losses(other, true)).toBe(0);
  });

  test("is replaced by one that hears the others, and asks the store for what came before", async () => {
    await open(2);
    await threads[0]?.end();
    const fresh = new EventLoopThread(host as ThreadHost);
    threads.push(fresh);
    await fresh.call("store", "open");
    await expect.poll(() => losses(fresh, false), slow).toBe(1);
    await threads[1]?.publish(entry(7));
    await fresh.publish(entry(8));
    for (const thread of [fresh, threads[1]]) await expect.poll(() => seqs(thread).toSorted(), slow).toEqual([7, 8]);
  });
});

describe("The thread of the store that dies", () => {
  test("fails the calls that it had, and is back for every thread", async () => {
    await open(2);
    await Promise.all(threads.map((thread) => thread.call("store", "append", [message("t")])));
    const sent = threads.map((thread) =>
      thread.call("store", "append", messages("t", 5000)).then(
        () => "stored",
        (error: Error) => error.message,
      ),
    );
    await storeThread.terminate();
    const outcomes = await Promise.all(sent);
    for (const outcome of outcomes) expect(outcome).toMatch(/^stored$|the store did not answer/);
    for (const thread of threads) {
      const [result] = await thread.call<AppendResult[]>("store", "append", [message("t")]);
      expect(result).toMatchObject({ outcome: "stored" });
      await expect.poll(() => thread.health.map(({ state }) => state), slow).toEqual(["usable", "unusable", "usable"]);
      await expect.poll(() => thread.call("store", "figures"), slow).toMatchObject({ restarts: 1 });
    }
    // A thread that starts now is connected to the new one.
    const late = new EventLoopThread(host as ThreadHost);
    threads.push(late);
    expect(await late.call("store", "append", [message("t")])).toMatchObject([{ outcome: "stored" }]);
  });

  test("and cannot be restarted has failed for every thread and for the host", async () => {
    folder = ":memory:";
    await open(2);
    await storeThread.terminate();
    expect((await host?.failed)?.message).toContain("a database in memory is lost with its thread");
    for (const thread of threads) {
      await expect.poll(() => thread.health.at(-1)?.state, slow).toBe("failed");
      await expect(thread.call("store", "bounds", [feed])).rejects.toThrow("the store did not answer");
    }
  });
});

describe("A thread that is blocked", () => {
  test("gets no more than 16 MiB of notices, and asks the store once it runs again", async () => {
    await open(3);
    const [sender, blocked, other] = threads as [EventLoopThread, EventLoopThread, EventLoopThread];
    const gate = new SharedArrayBuffer(4);
    const blocking = blocked.block(gate);
    for (const seq of upTo(40)) {
      await sender.publish(entry(seq % 256, 1024 * 1024));
      await expect.poll(() => seqs(other).length, { ...slow, interval: 5 }).toBe(seq);
    }
    const { sent, dropped } = await sender.figures();
    expect(sent + dropped).toBe(80);
    // 40 messages to the other thread, and those of 16 MiB to the blocked one.
    expect(dropped).toBe(40 - 15);
    release(gate);
    await blocking;
    await expect.poll(() => seqs(blocked), slow).toEqual(upTo(15));
    await expect.poll(() => losses(blocked, true), slow).toBe(1);
    expect(losses(other, true)).toBe(0);
    await sender.publish(entry(99));
    await expect.poll(() => seqs(blocked).at(-1), slow).toBe(99);
  });

  test("makes the others ask the store again and again for what it may not have announced", async () => {
    await open(2);
    const [blocked, other] = threads as [EventLoopThread, EventLoopThread];
    const gate = new SharedArrayBuffer(4);
    await expect.poll(() => losses(other, false), slow).toBe(1);
    const blocking = blocked.block(gate);
    await expect.poll(() => losses(other, false), slow).toBeGreaterThanOrEqual(3);
    release(gate);
    await blocking;
  });
});

function release(gate: SharedArrayBuffer): void {
  const cell = new Int32Array(gate);
  Atomics.store(cell, 0, 1);
  Atomics.notify(cell, 0);
}
