import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import {
  reasonFrom,
  startTestCore,
  type TestCore,
  toEveryone,
  toTenant,
  toUser,
  toUsers,
  userOf,
  withTestCore,
} from "../support/core.ts";

let node: TestCore;
let users = 0;
let refuseSaves = 0;

beforeAll(async () => {
  node = await startTestCore({
    async around(method, call) {
      if (method !== "saveReadState" || refuseSaves === 0) return call();
      refuseSaves--;
      // As when another device saved first: nothing is stored.
      return false as Awaited<ReturnType<typeof call>>;
    },
  });
});
afterAll(() => node.close());

/** Returns a user of a fresh tenant. */
function fresh() {
  return userOf(`tenant-${++users}`, `user-${users}`);
}

/** Returns a fresh user with `count` notifications whose categories alternate. */
async function withInbox(count: number, categories = ["system", "admin"]) {
  const user = fresh();
  await node.unread(user);
  const category = (index: number) => ({ category: categories[index % categories.length] ?? "" });
  const ids = await node.publishMany(user.tenant, toUser(user.subject), count, category);
  return { user, ids };
}

async function unreadIds(user: ReturnType<typeof fresh>): Promise<string[]> {
  return (await node.unread(user, { pageSize: 100 })).messages.map(({ id }) => id).reverse();
}

async function epochOf(user: ReturnType<typeof fresh>): Promise<number> {
  const [bounds] = await node.store.bounds([{ tenant: user.tenant, name: "tenant" }]);
  return bounds?.epoch ?? 0;
}

describe("Unread totals", () => {
  test("count the notifications of all of the user's feeds, by category", async () => {
    await withTestCore(async (node) => {
      const user = userOf("acme");
      await node.publish("acme", toUser("ann"), { category: "a" });
      await node.publish("acme", toUsers("ann", "other"), { category: "a" });
      await node.publish("acme", toTenant, { category: "b" });
      await node.publish(undefined, toEveryone, { category: "c" });
      await node.publish("acme", toUser("other"), { category: "a" });
      await node.publish("globex", toUser("ann"), { category: "a" });
      await node.publish("globex", toTenant, { category: "b" });
      expect((await node.unread(user)).unread).toMatchObject({
        total: 4,
        byCategory: { a: 2, b: 1, c: 1 },
        version: "1",
      });
    });
  });

  test("never count activities and events", async () => {
    const user = fresh();
    const before = (await node.unread(user)).unread.total;
    const ttl = durationFromMs(60_000);
    for (const kind of [Kind.ACTIVITY, Kind.EVENT]) {
      for (const to of [toUser(user.subject), toTenant]) await node.publish(user.tenant, to, { kind, ttl });
    }
    expect((await node.unread(user)).unread.total).toBe(before);
  });

  test("drop a message at the moment it expires", async () => {
    const user = fresh();
    await node.publish(user.tenant, toUser(user.subject), { category: "short", ttl: durationFromMs(1000) });
    expect((await node.unread(user)).unread.byCategory.short).toBe(1);
    await node.pass(999);
    expect((await node.unread(user)).unread.byCategory.short).toBe(1);
    await node.pass(1);
    expect((await node.unread(user)).unread.byCategory.short).toBeUndefined();
  });
});

describe("MarkRead", () => {
  test("of ids marks these messages", async () => {
    const { user, ids } = await withInbox(4);
    const before = (await node.unread(user)).unread;
    const { changed, unread } = await node.markIds(user, [ids[0] as string, ids[3] as string]);
    expect(changed).toBe(2);
    expect(unread).toMatchObject({ total: before.total - 2, version: String(Number(before.version) + 1) });
    expect(unread.byCategory).toMatchObject({ system: 1, admin: 1 });
    expect((await unreadIds(user)).filter((id) => ids.includes(id))).toEqual([ids[1], ids[2]]);
  });

  test("changes nothing when it is repeated: no total, no version, no event, no write", async () => {
    const { user, ids } = await withInbox(3);
    const reader = await node.live(user);
    const first = await node.markIds(user, ids);
    await reader.first("readState");
    const saves = node.called("saveReadState");
    const second = await node.markIds(user, ids);
    expect(second).toEqual({ changed: 0, unread: first.unread });
    await node.markAll(user);
    expect((await node.markAll(user)).changed).toBe(0);
    await node.settle();
    expect(node.called("saveReadState") - saves).toBeLessThanOrEqual(1);
    expect(reader.all("readState").filter(({ all }) => !all)).toHaveLength(1);
  });

  test("counts an id that is given twice once, and ignores its case", async () => {
    const { user, ids } = await withInbox(1);
    const [id = ""] = ids;
    expect((await node.markIds(user, [id, id])).changed).toBe(1);
    expect((await node.markIds(user, [id.toUpperCase()], { unread: true })).changed).toBe(1);
  });

  test("treats foreign, missing and malformed ids alike: it finds none", async () => {
    const { user } = await withInbox(1);
    const other = await withInbox(1);
    const sameName = userOf(`${user.tenant}-twin`, user.subject);
    const { messageId: twin } = await node.publish(sameName.tenant, toUser(sameName.subject));
    const before = (await node.unread(user)).unread;
    const ids = [...other.ids, twin, "0190b3c4-0000-7000-8000-000000000000", "", "nonsense", "'; DROP TABLE entries"];
    expect(await node.markIds(user, ids)).toEqual({ changed: 0, unread: before });
    expect((await unreadIds(other.user)).filter((id) => other.ids.includes(id))).toEqual(other.ids);
    expect((await node.unread(sameName)).messages.map(({ id }) => id)).toContain(twin);
  });

  test("marks no activities, events, expired or deleted messages", async () => {
    const user = fresh();
    const to = toUser(user.subject);
    const ids = [
      (await node.publish(user.tenant, to, { kind: Kind.ACTIVITY })).messageId,
      (await node.publish(user.tenant, to, { kind: Kind.EVENT, ttl: durationFromMs(60_000) })).messageId,
      (await node.publish(user.tenant, to, { ttl: durationFromMs(1) })).messageId,
      (await node.publish(user.tenant, to)).messageId,
    ];
    await node.delete(user, { ids: { messageIds: ids.slice(3) } });
    await node.pass(1);
    expect((await node.markIds(user, ids)).changed).toBe(0);
  });

  test("of ids and categories marks the messages that match both", async () => {
    const { user, ids } = await withInbox(4);
    expect((await node.markIds(user, ids, { categories: ["admin"] })).changed).toBe(2);
  });

  test("of categories marks all of their messages", async () => {
    const { user } = await withInbox(6, ["system", "admin", ""]);
    await node.publish(user.tenant, toTenant, { category: "system" });
    const { changed, unread } = await node.mark(user, { categories: ["system", "admin"] });
    expect(changed).toBe(5);
    expect(unread.byCategory).not.toHaveProperty("system");
    expect((await node.mark(user, { categories: ["system"], unread: true })).changed).toBe(3);
  });

  test("of the empty category marks the messages without one", async () => {
    const user = fresh();
    await node.markAll(user);
    await node.publish(user.tenant, toUser(user.subject));
    await node.publish(user.tenant, toUser(user.subject), { category: "system" });
    expect(await node.mark(user, { categories: [""] })).toMatchObject({
      changed: 1,
      unread: { byCategory: { system: 1 } },
    });
  });

  test("of everything is one write", async () => {
    await withTestCore(async (node) => {
      const user = userOf("acme");
      await node.unread(user);
      await node.publishMany("acme", toUser("ann"), 200);
      await node.publish("acme", toTenant);
      await node.publish(undefined, toEveryone);
      const saves = node.called("saveReadState");
      expect(await node.markAll(user)).toMatchObject({
        changed: 202,
        unread: { total: 0, byCategory: {}, version: "2" },
      });
      expect(node.called("saveReadState")).toBe(saves + 1);
      const { json } = await node.store.readState("acme", "ann");
      expect(json.length).toBeLessThan(300);
      expect(await node.markAll(user, { unread: true })).toMatchObject({ changed: 202, unread: { total: 202 } });
    });
  });

  test("of everything leaves later messages unread", async () => {
    const { user } = await withInbox(2);
    await node.markAll(user);
    const { messageId } = await node.publish(user.tenant, toUser(user.subject));
    expect(await unreadIds(user)).toEqual([messageId]);
  });

  test("of the oldest N marks the oldest messages over all feeds", async () => {
    const user = fresh();
    await node.markAll(user);
    const ids: string[] = [];
    for (let index = 0; index < 6; index++) {
      await node.pass(1);
      const to = index % 2 === 0 ? toUser(user.subject) : toTenant;
      ids.push((await node.publish(user.tenant, to, { category: index < 3 ? "a" : "b" })).messageId);
    }
    const oldest = (value: number, rest = {}) => node.mark(user, { ...rest, target: { case: "oldest", value } });
    expect((await oldest(2)).changed).toBe(2);
    expect(await unreadIds(user)).toEqual(ids.slice(2));
    expect((await oldest(2, { categories: ["b"] })).changed).toBe(2);
    expect(await unreadIds(user)).toEqual([ids[2], ids[5]]);
    expect((await oldest(1, { unread: true, categories: ["a", "b"] })).changed).toBe(1);
    expect(await unreadIds(user)).toEqual([ids[0], ids[2], ids[5]]);
    expect((await oldest(1000)).changed).toBe(3);
  });

  test("can mark messages as unread again", async () => {
    const { user, ids } = await withInbox(3);
    const before = (await node.unread(user)).unread;
    await node.markIds(user, ids);
    const { changed, unread } = await node.markIds(user, ids, { unread: true });
    expect(changed).toBe(3);
    expect(unread).toMatchObject({ total: before.total, byCategory: before.byCategory });
  });

  test("up to positions leaves later messages, and feeds that they do not name", async () => {
    const { user, ids } = await withInbox(5);
    await node.publish(user.tenant, toTenant);
    const epoch = await epochOf(user);
    const upTo = [{ feed: "user", epoch, seq: "3" }];
    expect((await node.markAll(user, { upTo })).changed).toBe(3);
    expect((await node.markIds(user, ids, { upTo })).changed).toBe(0);
    const further = [
      { feed: "user", epoch: 0, seq: "4" },
      { feed: "activity", epoch, seq: "0" },
    ];
    expect((await node.markIds(user, ids, { upTo: further })).changed).toBe(1);
    expect((await node.mark(user, { categories: ["system"], upTo: [{ feed: "user", epoch, seq: "5" }] })).changed).toBe(
      1,
    );
    expect((await node.unread(user)).unread.byCategory[""]).toBeGreaterThanOrEqual(1);
  });

  test("up to a position of another epoch marks nothing", async () => {
    const { user, ids } = await withInbox(3);
    const upTo = [{ feed: "user", epoch: (await epochOf(user)) - 1, seq: "3" }];
    expect((await node.markAll(user, { upTo })).changed).toBe(0);
    expect((await node.markIds(user, ids, { upTo })).changed).toBe(0);
  });

  test("up to an impossible position is refused and changes nothing", async () => {
    const { user } = await withInbox(3);
    const before = (await node.unread(user)).unread;
    const epoch = await epochOf(user);
    const at = (feed: string, seq: string) => ({ feed, epoch, seq });
    expect(await reasonFrom(node.markAll(user, { upTo: [at("user", "4")] }))).toBe("POSITION_IN_FUTURE");
    expect(await reasonFrom(node.markAll(user, { upTo: [at("room/x", "1")] }))).toBe("POSITION_INVALID");
    expect(await reasonFrom(node.markAll(user, { upTo: [at("user", "1"), at("user", "2")] }))).toBe("POSITION_INVALID");
    expect((await node.unread(user)).unread).toEqual(before);
  });

  test("notifies the user's streams, and no other user's, of what changed", async () => {
    const { user, ids } = await withInbox(3);
    const [one, two, other] = [
      await node.live(user),
      await node.live(user),
      await node.live(userOf(user.tenant, "other")),
    ];
    const { unread } = await node.markIds(user, ids.slice(1));
    for (const reader of [one, two]) {
      expect(await reader.first("readState")).toMatchObject({
        unread,
        readIds: ids.slice(1),
        unreadIds: [],
        deletedIds: [],
        all: false,
      });
    }
    await node.markIds(user, ids.slice(2), { unread: true });
    await one.until((reader) => reader.all("readState").length === 2);
    expect(one.all("readState")[1]).toMatchObject({ readIds: [], unreadIds: ids.slice(2) });
    await node.markAll(user);
    await one.until((reader) => reader.all("readState").length === 3);
    expect(one.all("readState")[2]).toMatchObject({ all: true, readIds: [], unread: { total: 0 } });
    await node.settle();
    expect(other.all("readState")).toEqual([]);
  });

  test("of more than 1,000 messages names none in its event", async () => {
    const { user } = await withInbox(1001, ["system"]);
    const reader = await node.live(user);
    expect((await node.mark(user, { categories: ["system"] })).changed).toBe(1001);
    expect(await reader.first("readState")).toMatchObject({ readIds: [], all: false });
  });

  test("on several devices at once loses no change", async () => {
    const { user, ids } = await withInbox(12);
    const before = (await node.unread(user)).unread;
    const answers = await Promise.all(ids.map((id) => node.markIds(user, [id])));
    expect(answers.every(({ changed }) => changed === 1)).toBe(true);
    const { unread } = await node.unread(user);
    expect(unread).toMatchObject({ total: before.total - 12, version: String(Number(before.version) + 12) });
  });

  test("fails without any change when others keep changing the read state", async () => {
    const { user, ids } = await withInbox(1);
    const before = (await node.unread(user)).unread;
    refuseSaves = 1000;
    expect(await reasonFrom(node.markIds(user, ids))).toBe("CONFLICT");
    expect(1000 - refuseSaves).toBe(20);
    refuseSaves = 0;
    expect((await node.unread(user)).unread).toEqual(before);
  });
});
