import { rmSync } from "node:fs";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import { seededRandom } from "../support/clock.ts";
import { startTestCore, type TestCore, type To, toTenant, toUser, userOf } from "../support/core.ts";
import { makeFolder } from "../support/store-sqlite.ts";
import { countByCategory, InboxModel, type ModelAudience, type ModelMark } from "./inbox-model.ts";

const users = ["ann", "bob"] as const;
const audiences: Readonly<Record<string, readonly [To, ModelAudience]>> = {
  ann: [toUser("ann"), { users: ["ann"] }],
  tenant: [toTenant, "tenant"],
};

const user = fc.constantFrom(...users);
const picks = fc.array(fc.nat(), { minLength: 1, maxLength: 40 });
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      to: fc.constantFrom("ann", "tenant", "tenant"),
      count: fc.constantFrom(1, 200, 700),
      categories: fc.constantFrom(1, 3, 90),
      kinds: fc.constantFrom([Kind.NOTIFICATION], [Kind.NOTIFICATION, Kind.EVENT]),
      /** One in this many messages expires. */
      expiring: fc.constantFrom(Number.POSITIVE_INFINITY, 1, 100),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("mark" as const),
      user,
      form: fc.constantFrom("ids", "all", "categories", "oldest"),
      picks,
      unread: fc.constantFrom(false, false, true),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), user, picks }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("recall" as const), picks }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(1, 11_000, 700_000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A node whose store is kept when the node is started again, and a model of what its users have. */
class Run {
  readonly #folder = makeFolder();
  readonly #model = new InboxModel();
  #node: TestCore | undefined;
  #starts = 0;

  async start(): Promise<void> {
    const store = new SqliteStore({ folder: this.#folder, keep: 100_000 });
    // The clock goes on where it was, and ids are new ones.
    const random = seededRandom(++this.#starts);
    this.#node = await startTestCore({ store, random, ...(this.#node ? { clock: this.#node.clock } : {}) });
  }

  async close(): Promise<void> {
    await this.node.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async take(next: Step): Promise<void> {
    const { node } = this;
    switch (next.do) {
      case "publish":
        return this.#publish(next);
      case "mark":
        return this.#mark(next);
      case "delete": {
        const ids = this.#pick(next.picks);
        await node.delete(userOf("acme", next.user), { ids: { messageIds: ids } });
        this.#model.delete("acme", next.user, ({ id }) => ids.includes(id), node.clock.now());
        return;
      }
      case "recall": {
        const ids = this.#pick(next.picks);
        await node.core.recaller.recall("acme", ids);
        for (const message of this.#model.messages) if (ids.includes(message.id)) message.recalled = true;
        return;
      }
      case "wait":
        return node.pass(next.ms);
      case "restart":
        await node.close();
        return this.start();
    }
  }

  /** Compares Hello and ListUnread of each user with the model. */
  async check(): Promise<void> {
    for (const name of users) {
      const reader = this.node.subscribe(userOf("acme", name));
      const hello = (await reader.first("hello")).unread;
      await reader.close();
      const { unread, messages } = await this.node.unread(userOf("acme", name), { pageSize: 100 });
      const expected = this.#model.unread("acme", name, this.node.clock.now());
      for (const totals of [hello, unread]) {
        expect(totals?.total).toBe(expected.length);
        expect(new Map(Object.entries(totals?.byCategory ?? {}))).toEqual(countByCategory(expected));
      }
      const listed = new Set(expected.map(({ id }) => id));
      expect(messages).toHaveLength(Math.min(100, expected.length));
      expect(messages.filter(({ id }) => !listed.has(id))).toEqual([]);
    }
  }

  get node(): TestCore {
    return this.#node as TestCore;
  }

  async #publish({ to, count, categories, kinds, expiring }: Extract<Step, { do: "publish" }>): Promise<void> {
    const [target, modelTarget] = audiences[to] as readonly [To, ModelAudience];
    const publishTime = this.node.clock.now();
    const drafts = Array.from({ length: count }, (_, index) => ({
      kind: kinds[index % kinds.length] as Kind,
      category: `c${index % categories}`,
      // The store keeps events only with a lifetime.
      ttlMs: index % expiring === 0 ? 10_000 : kinds.length > 1 ? 2_000_000 : 0,
    }));
    const ids = await this.node.publishMany("acme", target, count, (index) => {
      const { ttlMs = 0, ...draft } = drafts[index] ?? {};
      return { ...draft, ...(ttlMs > 0 ? { ttl: durationFromMs(ttlMs) } : {}) };
    });
    for (const [index, id] of ids.entries()) {
      const { kind = Kind.NOTIFICATION, category = "", ttlMs = 0 } = drafts[index] ?? {};
      const expireTime = ttlMs > 0 ? publishTime + ttlMs : Number.POSITIVE_INFINITY;
      this.#model.publish("acme", modelTarget, { id, kind, category, publishTime, expireTime });
    }
  }

  async #mark({ user, form, picks, unread }: Extract<Step, { do: "mark" }>): Promise<void> {
    const forms = {
      ids: { ids: this.#pick(picks), categories: [] },
      all: { categories: [] },
      categories: { categories: ["c1", "c2"] },
      oldest: { oldest: picks.length, categories: [] },
    };
    const mark: ModelMark = { ...forms[form as keyof typeof forms], unread };
    const { ids, oldest } = mark;
    const { changed } = await this.node.mark(userOf("acme", user), {
      categories: [...mark.categories],
      unread,
      ...(ids ? { target: { case: "ids", value: { messageIds: [...ids] } } } : {}),
      ...(oldest ? { target: { case: "oldest", value: oldest } } : {}),
      ...(form === "all" ? { target: { case: "all", value: true } } : {}),
    });
    expect(changed).toBe(this.#model.mark("acme", user, mark, this.node.clock.now()));
  }

  #pick(picks: readonly number[]): string[] {
    const { messages } = this.#model;
    return picks.map((pick) => messages[pick % Math.max(1, messages.length)]?.id ?? "no such id");
  }
}

test("Hello and ListUnread have the totals of a model after every step of a random script, also after restarts", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (script) => {
      const run = new Run();
      await run.start();
      try {
        await run.check();
        for (const next of script) {
          await run.take(next);
          await run.check();
        }
      } finally {
        await run.close();
      }
    }),
    { numRuns: 12 },
  );
}, 120_000);
