import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ReadState } from "../../src/inbox/read-state.ts";
import { startTestCore, type TestCore, toTenant, toUser, userOf, withTestCore } from "../support/core.ts";

const day = 86_400_000;
let node: TestCore;
let users = 0;

beforeAll(async () => {
  node = await startTestCore();
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

describe("DeleteMessages", () => {
  test("of ids removes them from lists and totals, for this user only", async () => {
    const user = fresh();
    const other = userOf(user.tenant, "other");
    const { messageId } = await node.publish(user.tenant, toTenant);
    const before = (await node.unread(user)).unread.total;
    const reader = await node.live(user);
    const answer = await node.delete(user, { ids: { messageIds: [messageId, "nonsense"] } });
    expect(answer).toMatchObject({ changed: 1, unread: { total: before - 1 } });
    expect((await node.messages(user, { pageSize: 100 })).messages.map(({ id }) => id)).not.toContain(messageId);
    expect((await node.messages(other, { pageSize: 100 })).messages.map(({ id }) => id)).toContain(messageId);
    expect(await reader.first("readState")).toMatchObject({ deletedIds: [messageId], unread: answer.unread });
    expect(await node.delete(user, { ids: { messageIds: [messageId] } })).toEqual({ ...answer, changed: 0 });
  });

  test("leaves the messages of others", async () => {
    const { user, ids } = await withInbox(2);
    expect((await node.delete(fresh(), { ids: { messageIds: ids } })).changed).toBe(0);
    expect((await node.delete(userOf(user.tenant, "other"), { ids: { messageIds: ids } })).changed).toBe(0);
    expect((await node.messages(user)).messages).toHaveLength(2);
  });

  test("of a category deletes all of it, read or not", async () => {
    const { user, ids } = await withInbox(6);
    await node.markIds(user, [ids[0] as string]);
    const { changed, unread } = await node.delete(user, { category: "system" });
    expect(changed).toBe(3);
    expect(unread.byCategory).not.toHaveProperty("system");
    expect((await node.delete(user, { category: "system" })).changed).toBe(0);
  });

  test("of ids and a category deletes the messages that match both", async () => {
    const { user, ids } = await withInbox(4);
    expect((await node.delete(user, { ids: { messageIds: ids }, category: "admin" })).changed).toBe(2);
  });

  test("of expired messages leaves the rest", async () => {
    const { user } = await withInbox(2);
    const { messageId } = await node.publish(user.tenant, toUser(user.subject), { ttl: durationFromMs(10) });
    const { total } = (await node.unread(user)).unread;
    await node.pass(10);
    const answer = await node.delete(user, { expiredOnly: true });
    expect(answer).toMatchObject({ changed: 1, unread: { total: total - 1 } });
    expect((await node.delete(user, { expiredOnly: true, ids: { messageIds: [messageId] } })).changed).toBe(0);
  });

  test("stays in effect when everything is marked as unread", async () => {
    const { user, ids } = await withInbox(2);
    await node.markAll(user);
    await node.delete(user, { ids: { messageIds: ids.slice(0, 1) } });
    await node.markAll(user, { unread: true });
    const found = await unreadIds(user);
    expect(found).toContain(ids[1]);
    expect(found).not.toContain(ids[0]);
  });
});

describe("A user who appears for the first time", () => {
  test("has read the broadcasts of more than a week ago, and none that came later", async () => {
    const tenant = `tenant-${++users}`;
    await node.publish(tenant, toUser("new"), { title: "own, old" });
    await node.publish(tenant, toTenant, { title: "old" });
    await node.sleep(1);
    await node.publish(tenant, toTenant, { title: "a week" });
    await node.sleep(3 * day);
    await node.publish(tenant, toTenant, { title: "young" });
    await node.sleep(4 * day);
    const titles = (await node.unread(userOf(tenant, "new"), { pageSize: 100 })).messages.map(({ title }) => title);
    expect(titles).toEqual(["young", "a week", "own, old"]);
  });

  test("keeps the messages that were unread then, however long they stay unread", async () => {
    const tenant = `tenant-${++users}`;
    const user = userOf(tenant, "new");
    await node.publish(tenant, toTenant, { title: "young" });
    await node.unread(user);
    await node.sleep(30 * day);
    expect((await node.unread(user, { pageSize: 100 })).messages.map(({ title }) => title)).toEqual(["young"]);
  });

  test("on several devices at once gets one read state", async () => {
    const tenant = `tenant-${++users}`;
    await node.publish(tenant, toTenant);
    const user = userOf(tenant, "new");
    const lists = await Promise.all([node.unread(user), node.unread(user), node.unread(user)]);
    expect(new Set(lists.map(({ unread }) => `${unread.total} ${unread.version}`)).size).toBe(1);
  });
});

test("Messages that retention has trimmed do not lengthen the read state", async () => {
  await withTestCore(
    async (node) => {
      const user = userOf("acme");
      for (let round = 0; round < 10; round++) {
        const ids = await node.publishMany("acme", toUser("ann"), 10);
        await node.markIds(
          user,
          ids.filter((_, index) => index % 2 === 0),
        );
      }
      const state = ReadState.decode(await node.store.readState("acme", "ann"));
      expect(state.read("user").toJSON()).toEqual([1, 91, 93, 93, 95, 95, 97, 97, 99, 99]);
      expect((await node.unread(user)).unread.total).toBe(5);
    },
    { retention: { count: 10 } },
  );
});
