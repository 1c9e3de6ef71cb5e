/** Expiry, alerts and times, on a server whose clock the test advances. */
import { durationFromMs, timestampDate } from "@bufbuild/protobuf/wkt";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { FakeClock } from "../support/clock.ts";
import { note, toUser } from "./audiences.ts";
import { Stage } from "./stage.ts";

const minute = 60_000;

describe("Time", () => {
  let clock: FakeClock;
  let stage: Stage;
  beforeAll(async () => {
    clock = new FakeClock();
    stage = await Stage.open({ clock });
  });
  beforeEach(() => clock.advance(minute));
  afterEach(() => stage.leave());
  afterAll(() => stage.close());

  test("row 15: an expired message is gone to the millisecond from lists, totals, badges and replay", async () => {
    const ann = stage.user("ann");
    const page = await stage.page("ann");
    const start = page.positions;
    await stage.publish(toUser("ann"), note("for 2 s", { ttl: durationFromMs(2000), category: "offer" }));
    await stage.publish(toUser("ann"), note("for good", { category: "offer" }));
    await page.has(2);
    await clock.advance(1999);
    expect((await ann.listUnread({})).unread?.total).toBe(2);
    await clock.advance(1);
    const { messages, unread } = await ann.listUnread({});
    expect([messages.map(({ title }) => title), unread?.total]).toEqual([["for good"], 1]);
    await page.until(({ badge }) => badge === 1);
    expect((await stage.page("ann", { positions: start })).titles).toEqual(["for good"]);
  });

  test("row 14: a user can delete the expired messages of a category, and only these", async () => {
    const ann = stage.user("ann");
    const brief = { ttl: durationFromMs(2000) };
    await stage.publish(toUser("ann"), note("old offer", { ...brief, category: "offer" }));
    await stage.publish(toUser("ann"), note("old news", { ...brief, category: "news" }));
    await stage.publish(toUser("ann"), note("offer", { category: "offer" }));
    await clock.advance(2000);
    expect(await ann.deleteMessages({ category: "offer", expiredOnly: true })).toMatchObject({ deleted: 1 });
    expect(await ann.deleteMessages({ category: "offer", expiredOnly: true })).toMatchObject({ deleted: 0 });
    expect((await ann.listUnread({})).messages.map(({ title }) => title)).toEqual(["offer"]);
  });

  test("row 16: a list of one shows the last unread message, and a returning page rings for it within 5 minutes unless it was read", async () => {
    const ann = stage.user("ann");
    /** Closes the page, publishes, advances the clock, and opens the page again. */
    const away = async (title: string, passed: number, meanwhile = async () => {}) => {
      const page = await stage.page("ann");
      page.cut();
      await stage.publish(toUser("ann"), note(title));
      await clock.advance(passed);
      await meanwhile();
      const back = await stage.page("ann", { positions: page.positions });
      return { rings: back.messages.map(({ title, alert }) => [title, alert]), badge: back.badge };
    };
    expect((await ann.listUnread({ pageSize: 1 })).messages).toEqual([]);
    expect(await away("a minute ago", minute)).toEqual({ rings: [["a minute ago", true]], badge: 1 });
    const last = await ann.listUnread({ pageSize: 1 });
    expect([last.messages.map(({ title }) => title), last.unread?.total]).toEqual([["a minute ago"], 1]);
    const readAll = async () => void (await ann.markRead({ target: { case: "all", value: true } }));
    expect(await away("read elsewhere", minute, readAll)).toEqual({ rings: [["read elsewhere", false]], badge: 0 });
    expect(await away("6 minutes ago", 6 * minute)).toEqual({ rings: [["6 minutes ago", false]], badge: 1 });
  });

  test("row 50: times are UTC to the millisecond, RFC 3339 in JSON, and local only where they are shown", async () => {
    await using server = await Stage.open({ clock: new FakeClock(Date.UTC(2026, 0, 31, 16, 0, 5, 120)) });
    const { publishTime } = await server.publish(toUser("ann"), note("at night in Shanghai"));
    const response = await fetch(`${server.server.url}/tidings.v1.PushService/ListUnread`, {
      method: "POST",
      headers: { authorization: `Bearer ${await server.token("ann")}`, "content-type": "application/json" },
      body: "{}",
    });
    const { messages } = (await response.json()) as { messages: { publishTime: string }[] };
    expect(messages.map((message) => message.publishTime)).toEqual(["2026-01-31T16:00:05.120Z"]);
    if (!publishTime) throw new Error("no time");
    const shown = timestampDate(publishTime).toLocaleString("sv-SE", { timeZone: "Asia/Shanghai" });
    expect(shown).toBe("2026-02-01 00:00:05");
  });
});
