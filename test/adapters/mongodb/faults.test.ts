import { Code, type ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { reasonOf } from "../../../src/errors.ts";
import type { Append, AppendResult, Store } from "../../../src/ports/store.ts";
import type { OpenedStore } from "../../../src/testing/store-bench.ts";
import { CutProxy } from "../../support/cut-proxy.ts";
import { type Ferret, ferretdb } from "../../support/ferretdb.ts";
import { describeWith } from "../../support/require.ts";
import {
  appendOne,
  endless,
  message,
  messages,
  readAll,
  start,
  stored,
  upTo,
  userFeed,
} from "../../support/store-messages.ts";
import { type MongoBench, openBench, openMongo } from "../../support/store-mongo.ts";

describeWith(ferretdb)("MongoStore", { timeout: 60_000 }, () => {
  let bench: MongoBench;
  let ferret: Ferret;
  let url: string;
  const opened: OpenedStore[] = [];
  const proxies: CutProxy[] = [];
  beforeEach(async () => {
    bench = await openBench(true);
    ferret = bench.ferret as Ferret;
    url = bench.url();
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await Promise.all(opened.splice(0).map((each) => each.close()));
    await Promise.all(proxies.splice(0).map((each) => each.close()));
    await bench.close();
  });

  async function open(options: Parameters<typeof openMongo>[3] = {}, at = url): Promise<Store> {
    const each = await openMongo(bench, 10_000, at, options);
    opened.push(each);
    return each.store;
  }

  /** Opens a store that reaches the server through a proxy, which can cut its connections. */
  async function openBehindProxy(timeoutMs: number): Promise<{ store: Store; proxy: CutProxy }> {
    const proxy = await CutProxy.start(ferret.port);
    proxies.push(proxy);
    const store = await open({ timeoutMs }, url.replace(`:${ferret.port}/`, `:${proxy.port}/`));
    return { store, proxy };
  }

  test("appends no message twice when connections are cut before the server answers", async () => {
    const { store, proxy } = await openBehindProxy(15_000);
    const other = await open();
    let inserts = 0;
    proxy.cutWhen((request) => request.includes("insert\0") && ++inserts % 3 === 0);
    const sent = upTo(60).map((number) =>
      message("t", {
        feeds: number % 4 === 0 ? ["user/ann", "user/bob"] : [number % 2 ? "user/ann" : "user/bob"],
        ...(number % 3 === 0 ? { key: `k${number}`, digest: "d" } : {}),
      }),
    );
    const answers: AppendResult[] = [];
    for (const group of [sent.slice(0, 20), sent.slice(20, 40), sent.slice(40)]) {
      const some = await Promise.all(group.map((append, index) => (index % 7 === 0 ? other : store).append([append])));
      answers.push(...some.flat());
    }
    expect(proxy.cuts).toBeGreaterThan(3);
    for (const name of ["user/ann", "user/bob"]) {
      const entries = await readAll(other, { tenant: "t", name });
      expect(entries.map(({ seq }) => seq)).toEqual(upTo(entries.length));
      const due = sent.filter(({ feeds }) => feeds.includes(name));
      expect(entries.map(({ id }) => id).sort()).toEqual(due.map(({ id }) => id).sort());
      due.forEach((append) => {
        const { seqs } = stored(answers[sent.indexOf(append)]);
        expect(entries[(seqs[append.feeds.indexOf(name)] ?? 0) - 1]?.id).toBe(append.id);
      });
    }
  });

  test.each([
    ["one feed", ["user/ann"]],
    ["several feeds", ["user/ann", "user/bob"]],
  ])("completes, by a repetition on another node, an append to %s that was cut off", async (_name, feeds) => {
    const other = await open();
    const keyed = (key: string): Append => message("t", { feeds, key, digest: "digest of it" });
    let cutOff = 0;
    for (const key of upTo(10).map((number) => `key ${number}`)) {
      const { store, proxy } = await openBehindProxy(300);
      // From its first insert on, the node gets no more answers: it cannot find out that it has stored the record.
      proxy.cutWhen((request) => proxy.cuts > 0 || (request.includes("insert\0") && request.includes("digest of it")));
      const rejected = await store.append([keyed(key)]).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(reasonOf(rejected as ConnectError)).toBe("STORE_UNAVAILABLE");
      if (proxy.cuts > 0) cutOff++;
      const [answer] = await other.append([keyed(key)]);
      const third = await other.append([keyed(key)]);
      expect(third).toMatchObject([{ outcome: "duplicate", id: (answer as { id: string }).id }]);
    }
    expect(cutOff).toBeGreaterThan(3);
    for (const name of feeds) {
      const entries = await readAll(other, { tenant: "t", name });
      expect(entries.map(({ seq }) => seq)).toEqual(upTo(10));
    }
  });

  test("rejects calls in time while the server is away, and uses it again when it is back", async () => {
    const store = await open({ timeoutMs: 2_000 });
    expect(await appendOne(store, message("t"))).toBe(1);
    await ferret.stop();
    const began = performance.now();
    const calls = [
      store.append([message("t", { key: "k", digest: "d" })]),
      store.append([message("t", { feeds: ["user/ann", "user/bob"] })]),
      store.read(userFeed("t"), 0, endless, 10, start),
      store.saveReadState("t", "ann", { version: 1, json: "" }),
    ];
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: Code.Unavailable } });
    }
    expect(performance.now() - began).toBeLessThan(2_500);
    await ferret.start();
    const restarted = performance.now();
    const again = () => store.append([message("t", { key: "k", digest: "d" })]).catch(() => undefined);
    await vi.waitUntil(again, { timeout: 5_000, interval: 50 });
    expect(performance.now() - restarted).toBeLessThan(5_000);
    const seqs = (await readAll(store, userFeed("t"))).map(({ seq }) => seq);
    expect(seqs).toEqual(upTo(seqs.length));
    expect(await store.append([message("t", { key: "k", digest: "d" })])).toMatchObject([{ outcome: "duplicate" }]);
  });

  test("rejects calls in time while the server hangs, and stores no message twice when it goes on", async () => {
    const store = await open({ timeoutMs: 2_000 });
    await appendOne(store, message("t"));
    ferret.signal("SIGSTOP");
    const began = performance.now();
    const keyed = () => message("t", { key: "k", digest: "d" });
    const outcomes = await Promise.allSettled(upTo(20).map(() => store.append([keyed()])));
    expect(outcomes.every(({ status }) => status === "rejected")).toBe(true);
    expect(performance.now() - began).toBeLessThan(2_500);
    ferret.signal("SIGCONT");
    await vi.waitUntil(() => store.append([keyed()]).catch(() => undefined), { timeout: 5_000, interval: 50 });
    const entries = await readAll(store, userFeed("t"));
    expect(entries.map(({ seq }) => seq)).toEqual([1, 2]);
  });

  test("appends nothing below the tail after a node slept while its feed was trimmed", async () => {
    let sleptMs = 0;
    const now = Date.now;
    vi.spyOn(Date, "now").mockImplementation(() => now() + sleptMs);
    const sleeper = await open({
      watch: ({ command }) => {
        if (command.insert === undefined || !JSON.stringify(command).includes("late")) return;
        // The node makes the command before it sleeps, and the command arrives after that.
        sleptMs = 3_600_000;
      },
    });
    const other = await open();
    await sleeper.append([message("t", { publishTime: start - 1 })]);
    await other.append(messages("t", 9, () => ({ publishTime: start - 1 })));
    // An hour later these are gone, but for the last one, which keeps the number.
    while ((await other.trim(start, start)) > 0);
    expect(await appendOne(sleeper, message("t", { category: "late" }))).toBe(11);
    expect((await readAll(other, userFeed("t"))).map(({ seq, category }) => [seq, category])).toEqual([[11, "late"]]);
  });

  test("refuses only the calls beyond 50,000 in flight", async () => {
    const store = await open();
    const calls = upTo(50_010).map(() => store.bounds([]));
    const refused = await Promise.allSettled(calls.splice(50_000));
    for (const outcome of refused) {
      const { reason } = outcome as PromiseRejectedResult;
      expect(String((reason as ConnectError).cause)).toBe("Error: too many calls are waiting for the store");
    }
    expect(await Promise.all(calls)).toHaveLength(50_000);
  });
});
