/** Delivery: a message reaches the pages of its audience, and no others. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { event, json, note, toEveryone, toTenant, toUser, toUsers } from "./audiences.ts";
import { refusal, Stage, ways } from "./stage.ts";

describe("Delivery", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  });
  afterEach(() => stage.leave());
  afterAll(() => stage.close());

  test("row 1: a message for one user reaches each of their open pages once, and nobody else", async () => {
    const tabs = await Promise.all(ways.map((over) => stage.page("ann", { over })));
    const other = await stage.page("bob");
    const { messageId } = await stage.publish(toUser("ann"), note("for you"));
    await stage.settle("ann", ...tabs);
    await stage.settle("bob", other);
    expect(tabs.map(({ messages }) => messages.map(({ id }) => id))).toEqual(tabs.map(() => [messageId]));
    expect(other.messages).toEqual([]);
  });

  test("row 6: the response tells for each receiver whether the message is stored, and on how many pages the receiver is online", async () => {
    await stage.page("ann");
    await stage.page("ann", { over: "ws" });
    const { receipts } = await stage.publish(toUsers(["ann", "bob"]), note("truth"));
    expect(receipts).toMatchObject([
      { userId: "ann", stored: true, online: true, connections: 2 },
      { userId: "bob", stored: true, online: false, connections: 0 },
    ]);
    const live = await stage.publish(toUsers(["ann", "bob"]), event("blink"));
    expect(live.receipts.map(({ stored, online }) => [stored, online])).toEqual([
      [false, true],
      [false, false],
    ]);
  });

  test("row 30: one call reaches 10,000 users, an empty list is refused, and a bad item of a batch is reported by itself", async () => {
    const users = Array.from({ length: 10_000 }, (_, index) => `user-${index}`);
    const { receipts } = await stage.publish(toUsers(users), note("to all of you"));
    expect(receipts.filter(({ stored }) => stored)).toHaveLength(10_000);
    for (const user of ["user-0", "user-5000", "user-9999"]) {
      expect((await stage.user(user).listUnread({})).unread?.total).toBe(1);
    }
    expect(await refusal(stage.publish(toUsers([]), note("to nobody")))).toBe("invalid_argument FIELD_INVALID");

    const each = (user: string, extra: string) => ({
      audience: toUser(user),
      message: note("yours", { payload: json({ extra }) }),
    });
    const { outcomes } = await stage
      .service()
      .publishBatch({ requests: [each("i", "only for i"), each("", "nobody"), each("j", "only for j")] });
    expect(outcomes.map(({ result }) => result.case)).toEqual(["ok", "error", "ok"]);
    expect(outcomes[1]?.result.value).toMatchObject({ code: "invalid_argument", reason: "FIELD_INVALID" });
    for (const user of ["i", "j"]) {
      const { messages } = await stage.user(user).listUnread({});
      expect(messages.map(({ payload }) => payload)).toMatchObject([json({ extra: `only for ${user}` })]);
    }
  });

  test("row 47: a page that opens while messages arrive shows the badge of the list, 100 times out of 100", async () => {
    for (let run = 0; run < 10; run++) {
      const pages = await Promise.all(
        Array.from({ length: 10 }, async (_, index) => {
          const user = `u${run}-${index}`;
          const sending = Promise.all(["a", "b", "c"].map((title) => stage.publish(toUser(user), note(title))));
          const page = await stage.opening(user, { over: ways[index % ways.length] ?? "ws" });
          await Promise.all([sending, page.live()]);
          await stage.settle(user, page);
          const { unread } = await stage.user(user).listUnread({});
          return [page.badge, unread?.total];
        }),
      );
      expect(pages).toEqual(pages.map(() => [3, 3]));
    }
  });
});

test("row 3: a broadcast to everyone reaches every company, and only a service of all companies may send it", async () => {
  await using stage = await Stage.open();
  const pages = await Promise.all([stage.page("ann"), stage.page("wei", { tenant: `${stage.tenant}-b`, over: "ws" })]);
  await stage.provider().publish({ audience: toEveryone, message: note("maintenance at noon") });
  for (const page of pages) expect((await page.has(1)).titles).toEqual(["maintenance at noon"]);
  const bound = stage.publish(toEveryone, note("not mine to say"));
  expect(await refusal(bound)).toBe("permission_denied AUDIENCE_FORBIDDEN");
  const own = await stage.publish(toTenant, note("within the company"));
  expect(own.onlineUsers).toBe(1);
  expect((await pages[0]?.has(2))?.titles).toContain("within the company");
  await stage.settle("ann", ...pages.slice(0, 1));
  expect(pages[1]?.titles).toEqual(["maintenance at noon"]);
});
