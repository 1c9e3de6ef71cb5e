import { expect, test } from "vitest";
import { Kind } from "../../../../gen/tidings/v1/message_pb.ts";
import { PushService } from "../../../../gen/tidings/v1/push_service_pb.ts";
import { type DraftInit, meet, note, type Stage, toTenant, toUser } from "./people.ts";

const { publish, publishBatch, listUnread, listMessages, markRead, deleteMessages, onlineCount } = PushService.method;

/** Registers the tests of the inbox, the history and online counts. */
export function inbox(stage: Stage): void {
  test("lists unread messages in pages, with totals by category", async (context) => {
    const { ann, helper } = await meet(stage, context);
    const drafts = ["a", "b", "c", "d", "e"].map((title, index) =>
      note(title, { category: index < 2 ? "system" : "" }),
    );
    await helper.call(publishBatch, { requests: drafts.map((message) => ({ audience: toUser("ann"), message })) });
    const titles: string[][] = [];
    let pageToken = "";
    do {
      const page = await ann.call(listUnread, { pageSize: 2, pageToken });
      expect(page.unread).toMatchObject({ total: 5, byCategory: { system: 2, "": 3 } });
      titles.push(page.messages.map(({ title }) => title));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(titles).toEqual([["e", "d"], ["c", "b"], ["a"]]);
    const filtered = await ann.call(listUnread, { categories: ["system"] });
    expect(filtered.messages.map(({ title }) => title)).toEqual(["b", "a"]);
  });

  test("marks messages as read and as unread, and deletes them; repeating changes nothing", async (context) => {
    const { ann, helper } = await meet(stage, context);
    const mine = note("mine", { category: "x" });
    const { messageId } = await helper.call(publish, { audience: toUser("ann"), message: mine });
    await helper.call(publish, { audience: toTenant, message: note("ours", { category: "y" }) });
    const ids = { messageIds: [messageId] };
    const target = { case: "ids", value: ids } as const;
    const left = { total: 1, byCategory: { y: 1 } };
    expect(await ann.call(markRead, { target })).toMatchObject({ changed: 1, unread: left });
    expect(await ann.call(markRead, { target })).toMatchObject({ changed: 0, unread: left });
    expect(await ann.call(markRead, { target, unread: true })).toMatchObject({ changed: 1, unread: { total: 2 } });
    expect(await ann.call(deleteMessages, { ids })).toMatchObject({ deleted: 1, unread: left });
    expect(await ann.call(deleteMessages, { ids })).toMatchObject({ deleted: 0, unread: left });
    const all = { target: { case: "all", value: true } } as const;
    expect(await ann.call(markRead, all)).toMatchObject({ changed: 1, unread: { total: 0, byCategory: {} } });
    const { messages } = await ann.call(listMessages, {});
    expect(messages.map(({ title, read }) => [title, read])).toEqual([["ours", true]]);
  });

  test("lists the activities of an object, as a user and as a service", async (context) => {
    const { ann, backend, helper } = await meet(stage, context);
    const actor = { id: "bob", name: "Bob" };
    const done = (id: string): DraftInit => ({
      kind: Kind.ACTIVITY,
      title: `task ${id}`,
      actor,
      object: { type: "task", id },
    });
    const requests = ["1", "2", "1"].map((id) => ({ audience: toTenant, message: done(id) }));
    await helper.call(publishBatch, { requests });
    const ofObject = { kinds: [Kind.ACTIVITY], object: { type: "task", id: "1" } };
    for (const caller of [ann, backend]) {
      const { messages } = await caller.call(listMessages, ofObject);
      expect(messages.map(({ title, actor }) => [title, actor?.name])).toEqual([
        ["task 1", "Bob"],
        ["task 1", "Bob"],
      ]);
    }
    expect((await ann.call(listUnread, {})).unread?.total).toBe(0);
  });

  test("counts online users in the tenant and in a list of users", async (context) => {
    const { ann, bob, backend } = await meet(stage, context);
    expect(await backend.call(onlineCount, {})).toMatchObject({ users: 0, connections: 0 });
    await Promise.all([ann.live(), ann.live(), bob.live()]);
    expect(await ann.call(onlineCount, {})).toMatchObject({ users: 2, connections: 3 });
    const scope = { case: "users" as const, value: { userIds: ["bob", "eve", "ann"] } };
    const { presences } = await backend.call(onlineCount, { scope });
    expect(presences.map(({ userId, online, connections }) => [userId, online, connections])).toEqual([
      ["bob", true, 1],
      ["eve", false, 0],
      ["ann", true, 2],
    ]);
  });
}
