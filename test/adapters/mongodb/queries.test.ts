import { type CommandStartedEvent, type Document, MongoClient } from "mongodb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { indexes } from "../../../src/adapters/mongodb/schema.ts";
import { keyLifetimeMs, type Selection, type Store } from "../../../src/ports/store.ts";
import { endless, message, messages, selection, start, userFeed } from "../../support/store-messages.ts";
import { benches, type MongoBench, openMemoryBench, openMongo } from "../../support/store-mongo.ts";

/** The filter and the order of a read or a change. */
interface Lookup {
  readonly collection: string;
  readonly filter: Document;
  readonly sort: Document;
}

describe.each(benches)("The commands that MongoStore sends to $name", { timeout: 120_000 }, ({ open }) => {
  let bench: MongoBench;
  let url: string;
  const events: CommandStartedEvent[] = [];
  const lookups: Lookup[] = [];
  beforeAll(async () => {
    bench = await open();
    url = bench.url();
    const { store, close } = await openMongo(bench, 300, url, { watch: (event) => void events.push(event) });
    await useAll(store);
    await close();
    lookups.push(...events.flatMap(({ command }) => lookupsOf(command)));
  }, 120_000);
  afterAll(() => bench.close());

  test("are all sent by this test", () => {
    const seen = new Set(lookups.map((lookup) => shapeOf(lookup)));
    expect(seen.size).toBeGreaterThan(40);
    for (const field of ["m", "b", "i", "a", "x", "p", "c", "s"]) {
      expect(
        [...seen].some((shape) => new RegExp(`\\b${field}\\b`).test(shape)),
        field,
      ).toBe(true);
    }
  });

  test("find their documents by an index of the store, in the order of that index", () => {
    const scans = new Set(lookups.filter((lookup) => !isServed(lookup)).map(shapeOf));
    expect([...scans]).toEqual([]);
    const bad: [Document, Document][] = [
      [{ g: "c" }, {}],
      [{ m: "i" }, { o: 1 }],
      [{ f: "f" }, { p: 1 }],
      [{ c: "c" }, {}],
    ];
    for (const [filter, sort] of bad) expect(isServed({ collection: "entries", filter, sort })).toBe(false);
  });

  test("use no transaction, no capped collection and no TTL index", () => {
    for (const { commandName, command } of events) {
      expect(command.autocommit, commandName).toBeUndefined();
      expect(JSON.stringify(command)).not.toMatch(/capped|expireAfterSeconds/);
    }
  });

  test("never scan a collection, by the plans that the server chooses", async ({ skip }) => {
    const client = new MongoClient(url);
    try {
      const build = await client.db().command({ buildInfo: 1 });
      if (build.ferretdbVersion !== undefined || open === openMemoryBench) {
        console.log(
          "skipped: winning plans (the server explains none; name a replica set in TIDINGS_TEST_MONGODB_URL)",
        );
        return skip("the server explains no plans");
      }
      for (const { commandName, command } of events) {
        if (!["find", "aggregate", "update", "delete"].includes(commandName)) continue;
        const {
          lsid: _lsid,
          $db: _db,
          $clusterTime: _time,
          writeConcern: _concern,
          readConcern: _read,
          ...plain
        } = command;
        const plan = await client.db().command({ explain: plain, verbosity: "queryPlanner" });
        // A pipeline that is not one query has a plan for each stage, and a sharded cluster one for each shard.
        const winning = plan.queryPlanner?.winningPlan ?? plan.stages ?? plan.shards;
        expect(JSON.stringify(winning), JSON.stringify(plain)).not.toContain("COLLSCAN");
      }
    } finally {
      await client.close();
    }
  });
});

/** The lookups of a command; none for commands that neither read nor change documents. */
function lookupsOf(command: Document): Lookup[] {
  const of = (collection: unknown, filter: unknown, sort: unknown = {}): Lookup => ({
    collection: String(collection).replace(/-\d+$/, "").replace("claims", "entries"),
    filter: filter as Document,
    sort: sort as Document,
  });
  if (command.find)
    return [
      of(command.find, command.filter, command.sort instanceof Map ? Object.fromEntries(command.sort) : command.sort),
    ];
  if (command.aggregate) return [of(command.aggregate, command.pipeline[0].$match)];
  if (command.update) return (command.updates as Document[]).map(({ q }) => of(command.update, q));
  if (command.delete) return (command.deletes as Document[]).map(({ q }) => of(command.delete, q));
  return [];
}

function shapeOf({ collection, filter, sort }: Lookup): string {
  const parts = Object.entries(filter).map(([key, value]) => (isEqual(value) ? key : `${key}${Object.keys(value)}`));
  return `${collection} ${parts.sort().join(" ")} / ${JSON.stringify(sort)}`;
}

/** Whether a condition is for one value or a list of values, which an index treats alike. */
function isEqual(value: unknown): boolean {
  return typeof value !== "object" || value === null || "$in" in value;
}

/** Whether an index has the fields of the filter first, and then those of the order. */
function isServed({ collection, filter, sort }: Lookup): boolean {
  if ("_id" in filter) return true;
  if (Object.keys(filter).join() === "$or") {
    return (filter.$or as Document[]).every((part) => isServed({ collection, filter: part, sort }));
  }
  if (collection !== "entries") return false;
  const ranges = new Set((filter.$or as Document[] | undefined)?.flatMap((each) => Object.keys(each)) ?? []);
  return indexes.some(({ key, partialFilterExpression }) => {
    const fields = Object.entries(key as Record<string, number>);
    if (!Object.keys(partialFilterExpression ?? {}).every((field) => field in filter)) return false;
    const end = fields.findIndex(([field]) => !(field in filter && isEqual(filter[field])));
    const rest = end === -1 ? [] : fields.slice(end);
    const [next] = rest;
    if (end === 0 && !(next && (next[0] in filter || ranges.has(next[0])))) return false;
    const wanted = Object.entries(sort as Record<string, number>).filter(([field]) => !isFixed(filter, field));
    const turned = wanted[0] && wanted[0][1] !== rest[0]?.[1] ? -1 : 1;
    return wanted.every(([field, order], index) => rest[index]?.[0] === field && rest[index]?.[1] === order * turned);
  });
}

function isFixed(filter: Document, field: string): boolean {
  return field in filter && (typeof filter[field] !== "object" || filter[field] === null);
}

/** Calls the store in every way that sends a command of its own. */
async function useAll(store: Store): Promise<void> {
  const both = { feeds: ["user/ann", "activity"], batchId: "b" };
  await store.append(messages("t", 2, () => ({ key: "k", digest: "d", expireTime: start + 5 })));
  await store.append([message("t", { key: "k", digest: "d", publishTime: start + keyLifetimeMs })]);
  await store.append([message("t", { key: "k", digest: "d", replace: true, publishTime: start + 11 })]);
  await store.append([message("t", { ...both, key: "l", digest: "d" })]);
  await store.append([message("t", { ...both, key: "l", digest: "d" })]);
  await store.append([message("t", { ...both, key: "l", digest: "d", replace: true })]);
  const batch = messages("t", 600, (index) => (index < 3 ? both : { key: `m${index}`, digest: "d" }));
  await store.append(batch);
  await store.recall("t", [batch[599]?.id ?? "", batch[0]?.id ?? ""]);
  await store.read(userFeed("t"), 0, endless, 10, start);
  await store.bounds([userFeed("t"), userFeed("t", "bob")]);
  await store.find([userFeed("t"), userFeed("t", "bob")], [batch[597]?.id ?? ""]);
  const odd = Array.from({ length: 40 }, (_, index) => [500 + index * 2, 500 + index * 2] as const);
  for (const ranges of [
    [[1, endless]],
    [
      [400, 410],
      [500, endless],
    ],
    odd,
  ] as const) {
    await store.countNotifications([{ feed: userFeed("t"), ranges }], start);
    await store.select(selection(userFeed("t"), { ranges }));
  }
  const { next } = await store.batch("t", "b", "", 1, start);
  await store.batch("t", "b", next, 1, start);
  for (const version of [1, 2]) await store.saveReadState("t", "ann", { version, json: "" });
  await Promise.all(["ann", "bob"].map((user) => store.readState("t", user)));
  for (const asked of selections()) await store.select(asked);
  await store.append([message("t", { publishTime: start + 12 }), message("t", { publishTime: start - 1 })]);
  await store.trim(start, start + 100);
  while ((await store.trim(start + 12, start + 100)) > 0);
}

/** Every filter by itself, and all together, in both orders. */
function selections(): Selection[] {
  const filters: Partial<Selection>[] = [
    {},
    { kinds: [1] },
    { categories: ["c"] },
    { actorId: "a" },
    { objectType: "t", objectId: "o" },
    { objectType: "t" },
    { objectId: "o" },
    { batchId: "b" },
    { startTime: 1, endTime: 2 },
    { expired: true },
  ];
  const all = [...filters, Object.assign({}, ...filters) as Partial<Selection>];
  return all.flatMap((filter) =>
    (["newest", "oldest"] as const).map((order) => selection(userFeed("t"), { ...filter, order, limit: 5 })),
  );
}
