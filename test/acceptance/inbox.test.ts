/** The inbox of a user: listing, marking and deleting messages. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { note, toUser, toUsers } from "./audiences.ts";
import { type Push, refusal, Stage } from "./stage.ts";

describe("The inbox", () => {
  let stage: Stage;
  let ann: Push;
  let bob: Push;
  beforeAll(async () => {
    stage = await Stage.open();
  });
  afterAll(() => stage.close());
  beforeEach(() => {
    [ann, bob] = [stage.user("ann"), stage.user("bob")];
  });
  afterEach(() => stage.leave());

  /** Publishes notifications for ann in this order, and returns their ids. */
  async function notify(...notes: [title: string, category?: string, actor?: string][]): Promise<string[]> {
    const requests = notes.map(([title, category = "", id]) => ({
      audience: toUser("ann"),
      message: note(title, { category, ...(id === undefined ? {} : { actor: { id } }) }),
    }));
    const { outcomes } = await stage.service().publishBatch({ requests });
    return outcomes.map(({ result }) => (result.case === "ok" ? result.value.messageId : ""));
  }
  const unreadTitles = async (client = ann) => (await client.listUnread({})).messages.map(({ title }) => title);
  const total = async (client = ann) => (await client.listUnread({})).unread?.total;
  const named = (...messageIds: string[]) => ({ case: "ids", value: { messageIds } }) as const;

  test("row 4: a user who was offline finds all messages on return, newest first, with the total", async () => {
    for (const title of ["one", "two", "three"]) await stage.publish(toUser("ann"), note(title));
    expect(await unreadTitles()).toEqual(["three", "two", "one"]);
    expect(await total()).toBe(3);
    expect((await stage.page("ann")).badge).toBe(3);
  });

  test("row 8: messages have categories, with a filter and a total for each; a kind is required", async () => {
    await notify(["a", "system"], ["b", "admin"], ["c", "operation"]);
    const { messages, unread } = await ann.listUnread({ categories: ["operation"] });
    expect(messages.map(({ title }) => title)).toEqual(["c"]);
    expect(unread).toMatchObject({ total: 3, byCategory: { system: 1, admin: 1, operation: 1 } });
    const ofNoKind = stage.publish(toUser("ann"), { title: "d", kind: Kind.UNSPECIFIED });
    expect(await refusal(ofNoKind)).toBe("invalid_argument FIELD_INVALID");
    expect(await total()).toBe(3);
  });

  test("row 9: 25 unread messages come in pages of 10 that stay stable while 5 new ones arrive, also by sender and by time", async () => {
    await notify(
      ...Array.from({ length: 25 }, (_, n): [string, string, string] => [`${n}`, "", n < 3 ? "eve" : "bob"]),
    );
    const first = await ann.listUnread({});
    expect([first.messages.length, first.unread?.total]).toEqual([10, 25]);
    await notify(...["new", "new", "new", "new", "new"].map((title): [string] => [title]));
    const second = await ann.listUnread({ pageToken: first.nextPageToken });
    const third = await ann.listUnread({ pageToken: second.nextPageToken });
    const listed = [first, second, third].flatMap(({ messages }) => messages.map(({ title }) => title));
    expect(listed).toEqual(Array.from({ length: 25 }, (_, n) => `${24 - n}`));
    expect(third.nextPageToken).toBe("");

    const { messages } = await ann.listUnread({ actorId: "eve" });
    expect(messages.map(({ title }) => title)).toEqual(["2", "1", "0"]);
    const at = messages[0]?.publishTime;
    if (!at) throw new Error("no time");
    const before = await ann.listUnread({ actorId: "eve", endTime: at });
    const since = await ann.listUnread({ actorId: "eve", startTime: at });
    expect([...since.messages, ...before.messages].map(({ title }) => title)).toEqual(["2", "1", "0"]);
    expect(since.messages.length).toBeGreaterThan(0);
  });

  test("row 10: marking a message changes it once, and a user cannot mark another user's message", async () => {
    const [id = ""] = await notify(["mine"]);
    expect(await bob.markRead({ target: named(id) })).toMatchObject({ changed: 0 });
    expect(await total()).toBe(1);
    expect(await ann.markRead({ target: named(id) })).toMatchObject({ changed: 1, unread: { total: 0 } });
    expect(await ann.markRead({ target: named(id) })).toMatchObject({ changed: 0, unread: { total: 0 } });
  });

  test("row 11: a message that arrived live can be marked by its id", async () => {
    const page = await stage.page("ann", { over: "ws" });
    await notify(["open me"], ["later"]);
    await page.has(2);
    const [opened] = page.messages;
    expect(page.badge).toBe(2);
    await ann.markRead({ target: named(opened?.id ?? "") });
    await page.until(({ badge }) => badge === 1);
    expect(await unreadTitles()).toEqual(["later"]);
  });

  test("row 12: messages are marked as read all at once, by category, or the oldest N, and as unread again", async () => {
    const system = Array.from({ length: 5 }, (_, n): [string, string] => [`s${n}`, "system"]);
    const operation = Array.from({ length: 5 }, (_, n): [string, string] => [`o${n}`, "operation"]);
    await notify(...system, ...operation);
    expect(await ann.markRead({ categories: ["operation"] })).toMatchObject({ changed: 5, unread: { total: 5 } });
    expect(await ann.markRead({ target: { case: "oldest", value: 2 } })).toMatchObject({ changed: 2 });
    expect(await unreadTitles()).toEqual(["s4", "s3", "s2"]);
    await ann.markRead({ target: { case: "oldest", value: 2 }, unread: true });
    expect(await unreadTitles()).toEqual(["s4", "s3", "s2", "s1", "s0"]);
    expect(await ann.markRead({ target: { case: "all", value: true } })).toMatchObject({ changed: 5 });
    expect(await total()).toBe(0);
    await ann.markRead({ target: { case: "all", value: true }, unread: true });
    expect(await total()).toBe(10);
  });

  test("row 13: a message that is marked on one page is read on all others, with the total of the list", async () => {
    const [tab, phone] = await Promise.all([stage.page("ann"), stage.page("ann", { over: "ws" })]);
    const [first = ""] = await notify(["a"], ["b"], ["c"]);
    await Promise.all([tab.has(3), phone.has(3)]);
    await ann.markRead({ target: named(first) });
    for (const page of [tab, phone]) {
      await page.until(({ badge }) => badge === 2);
      expect(page.all("readState").at(-1)).toMatchObject({ readIds: [first], unread: { total: await total() } });
    }
  });

  test("row 14: a user deletes messages by id, by category, or all of them, and none of another user", async () => {
    const [a = "", b = ""] = await notify(["a"], ["b", "system"], ["c", "system"]);
    expect(await bob.deleteMessages({ ids: { messageIds: [a, b] } })).toMatchObject({ deleted: 0 });
    expect(await ann.deleteMessages({ ids: { messageIds: [a] } })).toMatchObject({ deleted: 1, unread: { total: 2 } });
    expect(await ann.deleteMessages({ category: "system" })).toMatchObject({ deleted: 2, unread: { total: 0 } });
    expect((await ann.listMessages({})).messages).toEqual([]);
    await notify(["d"], ["e"]);
    const { messages } = await ann.listMessages({});
    await ann.deleteMessages({ ids: { messageIds: messages.map(({ id }) => id) } });
    expect((await ann.listMessages({})).messages).toEqual([]);
  });

  test("row 33: publishing again under one id gives one message, unread and new, on every page", async () => {
    const page = await stage.page("ann");
    const send = (title: string, replace = true) =>
      stage.publish(toUser("ann"), note(title), { requestId: "task-7", replace });
    const first = await send("task 7 is due");
    await ann.markRead({ target: named(first.messageId) });
    await page.until(({ badge, messages }) => messages.length === 1 && badge === 0);
    const again = await send("task 7 is overdue");
    expect(again.messageId).not.toBe(first.messageId);
    await stage.settle("ann", page);
    expect(page.titles).toEqual(["task 7 is due", "task 7 is overdue"]);
    expect(page.all("readState").flatMap(({ deletedIds }) => deletedIds)).toEqual([first.messageId]);
    expect(page.badge).toBe(1);
    const { messages, unread } = await ann.listUnread({});
    expect([messages.map(({ id }) => id), unread?.total]).toEqual([[again.messageId], 1]);
    expect((await ann.listMessages({})).messages).toHaveLength(1);
    // A retry of the same publish gives the same message.
    expect(await send("task 7 is overdue", false)).toMatchObject({ duplicate: true, messageId: again.messageId });
  });

  test("row 34: a batch is listed with the receivers who have read it and recalled as a whole, and batches do not mix", async () => {
    const users = ["ann", "bob", "cy"];
    const send = (batchId: string) =>
      stage.service().publishBatch({
        requests: users.map((user) => ({
          audience: toUser(user),
          message: note(`${batchId} for ${user}`, { batchId }),
        })),
      });
    await Promise.all(["monday", "tuesday"].map(send));
    const { messages: mine } = await ann.listUnread({});
    const monday = mine.find(({ batchId }) => batchId === "monday")?.id ?? "";
    await ann.markRead({ target: named(monday) });
    const { messages } = await stage.service().listMessages({ batchId: "monday" });
    const read = messages.map(({ title, receiverId, read }) => [title, receiverId, read]);
    expect(read.sort()).toEqual(users.map((user) => [`monday for ${user}`, user, user === "ann"]));
    expect(await stage.service().deleteMessages({ batchId: "monday", recall: true })).toMatchObject({ deleted: 3 });
    expect(await unreadTitles(bob)).toEqual(["tuesday for bob"]);

    await stage.publish(toUsers(["ann", "bob"]), note("the same for both", { batchId: "wednesday" }));
    const shared = await stage.service().listMessages({ batchId: "wednesday" });
    expect(shared.messages.map(({ receiverId }) => receiverId).sort()).toEqual(["ann", "bob"]);
  });
});
