import type { AggregateOptions, Document } from "mongodb";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Connection } from "../../../src/adapters/mongodb/connection.ts";
import { Heads, StaleAnswer } from "../../../src/adapters/mongodb/heads.ts";
import { Layout } from "../../../src/adapters/mongodb/layout.ts";
import { UnreadCounts } from "../../../src/adapters/mongodb/unread-counts.ts";
import type { Store } from "../../../src/ports/store.ts";
import { endless, message, messages, start, userFeed } from "../../support/store-messages.ts";
import { type MongoBench, openBench, openMemoryBench, openMongo } from "../../support/store-mongo.ts";

/** Something happens around the first answer of a count. */
class Interrupted extends Connection {
  before: (() => Promise<void>) | undefined;
  after: (() => Promise<void>) | undefined;

  override async aggregate<T extends Document>(name: string, pipeline: Document[], options: AggregateOptions) {
    const { before, after } = this;
    this.before = this.after = undefined;
    await before?.();
    const found = await super.aggregate<T>(name, pipeline, options);
    await after?.();
    return found;
  }
}

describe("a count in the server", () => {
  let bench: MongoBench;
  beforeAll(async () => {
    // FerretDB scans, and counts nothing itself.
    bench = await (process.env.TIDINGS_TEST_MONGODB_URL === undefined ? openMemoryBench() : openBench());
  });
  afterAll(() => bench.close());

  let other: Store;
  let connection: Interrupted;
  let tallies: UnreadCounts;
  beforeEach(async () => {
    const url = bench.url();
    const opened = await openMongo(bench, 10_000, url);
    other = opened.store;
    connection = new Interrupted(url, 2_000);
    await connection.open();
    const layout = new Layout(0);
    tallies = new UnreadCounts(connection, layout, new Heads(connection, layout, { epoch: 1, keep: 10_000 }));
    await other.append(messages("t", 25, (index) => ({ publishTime: start + index })));
    return async () => {
      await connection.close();
      await opened.close();
    };
  });

  const tally = () => tallies.tally([{ feed: userFeed("t"), ranges: [[1, endless]] }], start);
  /** The oldest messages end. */
  const outgrow = async (count: number) => {
    await other.append([message("t", { publishTime: start + 100 })]);
    while ((await other.trim(start + count, start)) > 0);
  };

  test("is taken anew from the tail on when what it counted goes", async () => {
    connection.after = () => outgrow(15);
    const { byCategory, bounds: heads, oldest } = await tally();
    expect(heads).toEqual([{ epoch: 1, seq: 25, tail: 16 }]);
    expect([...byCategory]).toEqual([["", 10]]);
    expect(oldest).toEqual([16]);
  });

  test("needs no second look at what went before it", async () => {
    connection.before = () => outgrow(15);
    connection.after = async () => {
      connection.before = () => Promise.reject(new Error("asked again"));
    };
    expect([...(await tally()).byCategory]).toEqual([["", 10]]);
  });

  test("is refused when it does not reach as far as the head did", async () => {
    connection.before = () => outgrow(25);
    await expect(tally()).rejects.toThrow(StaleAnswer);
  });
});
