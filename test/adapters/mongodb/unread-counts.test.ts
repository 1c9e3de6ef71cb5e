import type { AggregateOptions, Document } from "mongodb";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Connection } from "../../../src/adapters/mongodb/connection.ts";
import { FeedBoundsReader, StaleReadError } from "../../../src/adapters/mongodb/feed-bounds.ts";
import { KnownEnds } from "../../../src/adapters/mongodb/known-ends.ts";
import { UnreadCounts } from "../../../src/adapters/mongodb/unread-counts.ts";
import type { Store } from "../../../src/ports/store.ts";
import { endless, message, messages, start, userFeed } from "../../support/store-messages.ts";
import { type MongoBench, openBench, openMemoryBench, openMongo } from "../../support/store-mongo.ts";

/** Runs something before and after the first aggregation that follows. */
class InterruptedConnection extends Connection {
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

describe("A count of unread messages on the server", () => {
  let bench: MongoBench;
  beforeAll(async () => {
    // FerretDB does not group documents for the store.
    bench = await (process.env.TIDINGS_TEST_MONGODB_URL === undefined ? openMemoryBench() : openBench());
  });
  afterAll(() => bench.close());

  let other: Store;
  let connection: InterruptedConnection;
  let counts: UnreadCounts;
  beforeEach(async () => {
    const url = bench.url();
    const opened = await openMongo(bench, 10_000, url);
    other = opened.store;
    connection = new InterruptedConnection(url, 2_000);
    await connection.open();
    const bounds = new FeedBoundsReader(connection, new KnownEnds(), { epoch: 1, keep: 10_000 });
    counts = new UnreadCounts(connection, bounds);
    await other.append(messages("t", 25, (index) => ({ publishTime: start + index })));
    return async () => {
      await connection.close();
      await opened.close();
    };
  });

  const count = () => counts.count([{ feed: userFeed("t"), ranges: [[1, endless]] }], start);
  /** Trims the oldest messages of the feed; a younger one follows them. */
  const trimOldest = async (count: number) => {
    await other.append([message("t", { publishTime: start + 100 })]);
    while ((await other.trim(start + count, start)) > 0);
  };

  test("is repeated from the tail on when counted messages are trimmed meanwhile", async () => {
    connection.after = () => trimOldest(15);
    const { byCategory, bounds, oldest } = await count();
    expect(bounds).toEqual([{ epoch: 1, seq: 25, tail: 16 }]);
    expect([...byCategory]).toEqual([["", 10]]);
    expect(oldest).toEqual([16]);
  });

  test("is not repeated when messages are trimmed before it reads them", async () => {
    connection.before = () => trimOldest(15);
    connection.after = async () => {
      connection.before = () => Promise.reject(new Error("counted again"));
    };
    expect([...(await count()).byCategory]).toEqual([["", 10]]);
  });

  test("throws StaleReadError when the last slot of the feed is missing", async () => {
    connection.before = () => trimOldest(25);
    await expect(count()).rejects.toThrow(StaleReadError);
  });
});
