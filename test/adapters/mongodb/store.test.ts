import { afterAll, beforeAll, describe } from "vitest";
import { storeContract } from "../../../src/testing/store.ts";
import { describeWith } from "../../support/require.ts";
import { anyMongo, type MongoBench, openBench, openMemoryBench, openMongo } from "../../support/store-mongo.ts";

describeWith(anyMongo)("On a real server,", () => {
  let bench: MongoBench;
  beforeAll(async () => {
    bench = await openBench();
  });
  afterAll(() => bench.close());

  storeContract("MongoStore", (keep) => openMongo(bench, keep), { timeout: 120_000, scripts: 6 });
});

describe("On the server in memory,", () => {
  let bench: MongoBench;
  beforeAll(async () => {
    bench = await openMemoryBench();
  });
  afterAll(() => bench.close());

  storeContract("MongoStore", (keep) => openMongo(bench, keep));
});
