import { MongoClient } from "mongodb";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MongoStore } from "../../../src/adapters/mongodb/store.ts";
import { freePort } from "../../support/ferretdb.ts";
import { MemoryMongo } from "../../support/memory-mongo/process.ts";
import { describeWith } from "../../support/require.ts";
import { appendOne, message, readAll, userFeed } from "../../support/store-messages.ts";
import { anyMongo, type MongoBench, openBench, openMongo } from "../../support/store-mongo.ts";

describeWith(anyMongo)("MongoStore.open", { timeout: 60_000 }, () => {
  let bench: MongoBench;
  beforeAll(async () => {
    bench = await openBench();
  });
  afterAll(() => bench.close());

  /** Changes the description of a store in its database, as an operator would. */
  async function changeMeta(url: string, change: object): Promise<void> {
    const client = new MongoClient(url);
    const metas = client.db().collection<{ _id: string }>("meta");
    expect((await metas.updateOne({ _id: "store" }, change)).modifiedCount).toBe(1);
    await client.close();
  }

  test("warns that a server which is not a replica set has no majority", async () => {
    const sentences: string[] = [];
    const client = new MongoClient(bench.url());
    const { setName } = await client.db().command({ hello: 1 });
    await client.close();
    const { close } = await openMongo(bench, 100, bench.url(), { warn: (sentence) => void sentences.push(sentence) });
    await close();
    expect(sentences.some((sentence) => sentence.includes("not a replica set"))).toBe(setName === undefined);
  });

  test("refuses a database of a newer version", async () => {
    const url = bench.url();
    await (await openMongo(bench, 100, url)).close();
    await changeMeta(url, { $set: { schema: 99 } });
    await expect(openMongo(bench, 100, url)).rejects.toThrow(
      "the database was written by a newer version (schema 99); upgrade first",
    );
  });

  test("refuses a database of MongoDB on a server that finds documents by scanning", async ({ skip }) => {
    if (!bench.ferret) {
      console.log(
        "skipped: refusal of MongoDB's layout (the server that TIDINGS_TEST_MONGODB_URL names may be MongoDB)",
      );
      return skip("the named server may be MongoDB");
    }
    const url = bench.url();
    await (await openMongo(bench, 100, url)).close();
    await changeMeta(url, { $set: { parts: 0 } });
    await expect(openMongo(bench, 100, url)).rejects.toThrow(
      "the database was made on MongoDB; this server cannot keep it consistent",
    );
  });

  test("uses the epoch that was raised after a restore, for old messages too", async () => {
    const url = bench.url();
    const first = await openMongo(bench, 100, url);
    await appendOne(first.store, message("t"));
    const [before] = await first.store.bounds([userFeed("t")]);
    await first.close();
    await changeMeta(url, { $inc: { epoch: 1 } });
    const again = await openMongo(bench, 100, url);
    const [after] = await again.store.bounds([userFeed("t")]);
    expect(after?.epoch).toBe((before?.epoch ?? 0) + 1);
    expect((await readAll(again.store, userFeed("t"))).map(({ epoch }) => epoch)).toEqual([after?.epoch]);
    await again.close();
  });

  test("reports the timeout of its calls", async () => {
    const { info, close } = await openMongo(bench, 100, bench.url(), { timeoutMs: 7_000 });
    expect(info.timeoutMs).toBe(7_000);
    await close();
  });
});

test("MongoStore.open fails in time where no server listens", async () => {
  const url = `mongodb://127.0.0.1:${await freePort()}/tidings`;
  const store = new MongoStore({ url, keep: 100, timeoutMs: 100 });
  await expect(store.open()).rejects.toThrow(/ECONNREFUSED/);
  await store.close();
});

test("MongoStore.open waits for a server that is still starting, and warns", async () => {
  const port = await freePort();
  const sentences: string[] = [];
  const warn = (sentence: string) => void sentences.push(sentence);
  const url = `mongodb://127.0.0.1:${port}/tidings?directConnection=true`;
  const store = new MongoStore({ url, keep: 100, timeoutMs: 2_000, warn });
  const opening = store.open();
  await expect.poll(() => sentences, { timeout: 10_000, interval: 5 }).toHaveLength(1);
  expect(sentences[0]).toMatch(/does not answer yet.*ECONNREFUSED/);
  const memory = await MemoryMongo.start(port);
  try {
    expect((await opening).timeoutMs).toBe(2_000);
    await store.close();
  } finally {
    await memory.stop();
  }
});
