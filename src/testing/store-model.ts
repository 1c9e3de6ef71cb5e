import fc from "fast-check";
import { expect, test } from "vitest";
import { type FeedKey, keyLifetimeMs, type MessageLocation, type Store } from "../ports/store.ts";
import { endless, message, never, selection, start } from "./messages.ts";
import { StoreModel } from "./reference-store.ts";
import type { StoreBench } from "./store-bench.ts";

const keep = 6;
const tenants = ["a", "a/b"];
const names = ["user/ann", "user/bob", "tenant"];

const one = <T>(...values: T[]) => fc.constantFrom(...values);
const seq = fc.nat({ max: 30 });

/** Milliseconds; now and then enough for the keys of removed messages to be free again. */
const wait = fc.oneof({ weight: 30, arbitrary: fc.nat({ max: 2 }) }, { weight: 1, arbitrary: one(keyLifetimeMs) });

/** One step of a script, taken after `wait`. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      tenant: one(...tenants),
      feeds: fc.subarray(names),
      key: one("", "", "", "k1", "k2"),
      digest: one("d", "e"),
      replace: one(false, false, true),
      batchId: one("", "", "b", "c"),
      kind: one(1, 1, 2, 3),
      category: one("", "system"),
      ttl: one(never, never, 3, 9),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("recall" as const),
      tenant: one(...tenants),
      picks: fc.array(fc.nat(), { maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("trim" as const), age: fc.nat({ max: 20 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("batch" as const),
      tenant: one(...tenants),
      batchId: one("b", "c"),
      limit: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("save" as const),
      tenant: one(...tenants),
      user: one("ann", "bob"),
      ahead: one(0, 1, 1, 1, 2),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      tenant: one(...tenants),
      name: one(...names),
      after: seq,
      upTo: seq,
      limit: fc.nat({ max: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("countNotifications" as const),
      tenant: one(...tenants),
      from: seq,
      to: seq,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("select" as const),
      tenant: one(...tenants),
      name: one(...names),
      from: seq,
      to: seq,
      order: one("newest" as const, "oldest" as const),
      kinds: fc.subarray([1, 2, 3]),
      limit: fc.nat({ max: 5 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("find" as const),
      tenant: one(...tenants),
      feeds: fc.subarray(names),
      picks: fc.array(fc.nat(), { maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** The law as a whole: a store and a model of it in memory agree after each step of random scripts. */
export function modelLaw(bench: StoreBench): void {
  test("agrees with a model after every step of a random script", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(wait, step), { minLength: 10, maxLength: 60 }), (script) =>
        bench.alone(keep, async (opened) => {
          const model = new StoreModel(keep);
          let { store } = opened;
          let now = start;
          for (const [wait, next] of script) {
            now += wait;
            if (next.do !== "reopen") await take(store, model, next, now);
            else if (opened.reopen) ({ store } = await opened.reopen());
            const feeds = tenants.flatMap((tenant) => names.map((name) => ({ tenant, name })));
            await Promise.all(feeds.map((feed) => agree(store, model, feed, now)));
          }
        }),
      ),
      { numRuns: bench.scripts },
    );
  });
}

/** Takes one step on both and compares the results. */
async function take(
  store: Store,
  model: StoreModel,
  next: Exclude<Step, { do: "reopen" }>,
  now: number,
): Promise<void> {
  switch (next.do) {
    case "append": {
      const { do: _, tenant, ttl, ...facts } = next;
      const replace = facts.replace && facts.key !== "";
      const append = message(tenant, { ...facts, replace, publishTime: now, expireTime: now + ttl });
      const [answer] = await store.append([append]);
      if (!answer) throw new Error("no answer");
      const replaced = replace ? model.replace(append) : [];
      expect(answer).toMatchObject(model.append(append, answer));
      if (answer.outcome === "stored") expect(sorted(answer.replaced ?? [])).toEqual(sorted(replaced));
      return;
    }
    case "recall": {
      const ids = pick(model.ids(next.tenant), next.picks);
      expect(sorted(await store.recall(next.tenant, ids))).toEqual(sorted(model.recall(next.tenant, ids)));
      return;
    }
    case "batch": {
      const listed: string[] = [];
      for (let after = "", last = false; !last; last = after === "") {
        const page = await store.batch(next.tenant, next.batchId, after, next.limit, now);
        listed.push(...page.entries.map(({ id, feed }) => `${id} ${feed.name}`));
        after = page.next;
      }
      expect(listed.sort()).toEqual(model.batch(next.tenant, next.batchId, now).sort());
      return;
    }
    case "trim":
      while ((await store.trim(now - next.age, now)) > 0);
      return model.trim(now - next.age, now);
    case "save": {
      const state = { version: model.readState(next.tenant, next.user).version + next.ahead, json: String(now) };
      const saved = await store.saveReadState(next.tenant, next.user, state);
      expect(saved).toBe(model.saveReadState(next.tenant, next.user, state));
      return;
    }
    case "read": {
      const { tenant, name, after, upTo, limit } = next;
      const slice = await store.read({ tenant, name }, after, upTo, limit, now);
      expect(slice.entries.map(({ seq }) => seq)).toEqual(model.read({ tenant, name }, after, upTo, limit, now));
      expect(model.agreesOnSlice({ tenant, name }, after, upTo, limit, now, slice)).toBe(true);
      return;
    }
    case "countNotifications": {
      const feeds = names.map((name) => ({ tenant: next.tenant, name }));
      const ranges = [[next.from, next.to]] as const;
      const { byCategory, nextExpiry } = await store.countNotifications(
        feeds.map((feed) => ({ feed, ranges })),
        now,
      );
      expect({ byCategory: Object.fromEntries(byCategory), nextExpiry }).toEqual(
        model.countNotifications(feeds, ranges, now),
      );
      return;
    }
    case "select": {
      const { tenant, name, from, to, ...rest } = next;
      const asked = selection({ tenant, name }, { ...rest, ranges: [[from, to]], now });
      expect((await store.select(asked)).map(({ seq }) => seq)).toEqual(model.select(asked));
      return;
    }
    case "find": {
      const feeds = next.feeds.map((name) => ({ tenant: next.tenant, name }));
      const ids = pick(
        tenants.flatMap((tenant) => model.ids(tenant)),
        next.picks,
      );
      expect(sorted(await store.find(feeds, ids))).toEqual(sorted(model.find(feeds, ids)));
    }
  }
}

/** Compares everything that is readable of a feed and of two users' read states. */
async function agree(store: Store, model: StoreModel, feed: FeedKey, now: number): Promise<void> {
  const users = ["ann", "bob"];
  const [{ bounds, entries }, ...states] = await Promise.all([
    store.read(feed, 0, endless, 1000, now),
    ...users.map((user) => store.readState(feed.tenant, user)),
  ]);
  expect(model.agreesOn(feed, bounds), `bounds ${JSON.stringify(bounds)} of ${feed.name}`).toBe(true);
  expect(
    entries.map(({ seq, id, kind, category, publishTime, expireTime }) => ({
      seq,
      id,
      kind,
      category,
      publishTime,
      expireTime,
    })),
  ).toEqual(model.entries(feed, now));
  expect(entries.map(({ body }) => new TextDecoder().decode(body))).toEqual(entries.map(({ id }) => id));
  expect(states).toEqual(users.map((user) => model.readState(feed.tenant, user)));
}

function pick(ids: readonly string[], picks: readonly number[]): string[] {
  return ids.length === 0 ? [] : picks.map((number) => ids[number % ids.length] as string);
}

function sorted<T extends Pick<MessageLocation, "id" | "feed">>(locations: readonly T[]): T[] {
  return locations.toSorted((a, b) => `${a.id} ${a.feed.name}`.localeCompare(`${b.id} ${b.feed.name}`));
}
