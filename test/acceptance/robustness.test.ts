/** Robustness: lost connections, floods, malformed requests and slow readers. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type AudienceInit, note, toTenant, toUser } from "./audiences.ts";
import { eventually, Stage, ways } from "./stage.ts";

const kept = 200;
const payload = { case: "binary", value: new Uint8Array(60_000).fill(7) } as const;
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, n) => `${from + n}`);

describe("Robustness", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open({ timeouts: { stallMs: 1000 }, retention: { count: kept } });
  });
  afterEach(() => stage.leave());
  afterAll(() => stage.close());

  /** Publishes notifications with these titles, in their order. */
  async function publishAll(
    titles: readonly string[],
    audience: AudienceInit = toUser("ann"),
    tenant = stage.tenant,
  ): Promise<void> {
    for (let sent = 0; sent < titles.length; sent += 100) {
      const requests = titles.slice(sent, sent + 100).map((title) => ({ audience, message: note(title) }));
      await stage.service(tenant).publishBatch({ requests });
    }
  }

  test.each(ways)(
    "row 5: a page that reconnects gets the 100 messages that it missed once and in order, then live ones (%s)",
    async (over) => {
      const page = await stage.page("ann", { over });
      await publishAll(["seen"]);
      await page.has(1);
      page.cut();
      await publishAll(numbers(100));
      const back = await stage.page("ann", { over, positions: page.positions });
      await publishAll(["live"]);
      await stage.settle("ann", back);
      expect(back.titles).toEqual([...numbers(100), "live"]);
      expect(back.badge).toBe(102);
    },
  );

  test("row 5: messages that retention removed meanwhile are reported as a gap, and the list shows the rest", async () => {
    const page = await stage.page("ann");
    page.cut();
    await publishAll(numbers(kept + 50));
    const back = await stage.page("ann", { positions: page.positions, over: "ws" });
    expect(back.all("gap")).toMatchObject([{ after: { feed: "user", seq: "0" }, to: { feed: "user", seq: "50" } }]);
    expect(back.titles).toEqual(numbers(kept, 50));
    expect(back.badge).toBe(kept);
    expect((await stage.user("ann").listUnread({})).unread?.total).toBe(kept);
  });

  test("row 23: each feed keeps its newest messages, the flood of one company costs another nothing, and all can be marked and deleted", async () => {
    await publishAll(numbers(kept * 5), toTenant);
    await publishAll(numbers(10), toTenant, "quiet");
    const [ann, wei] = [stage.user("ann"), stage.user("wei", { tenant: "quiet" })];
    expect((await ann.listUnread({})).unread?.total).toBe(kept);
    expect((await wei.listUnread({})).unread?.total).toBe(10);
    const { messages } = await ann.listMessages({ pageSize: 2 });
    expect(messages.map(({ title }) => title)).toEqual([`${kept * 5 - 1}`, `${kept * 5 - 2}`]);
    const messageIds = messages.map(({ id }) => id);
    expect(await ann.deleteMessages({ ids: { messageIds } })).toMatchObject({ deleted: 2 });
    expect(await ann.markRead({ target: { case: "all", value: true } })).toMatchObject({ changed: kept - 2 });
    await publishAll(["new"], toTenant);
    expect((await ann.listUnread({})).messages.map(({ title }) => title)).toEqual(["new"]);
  });

  test("row 45: malformed requests are refused with the name of the field, and every page stays connected", async () => {
    const pages = await Promise.all(ways.map((over) => stage.page("ann", { over })));
    const authorization = `Bearer ${await stage.server.token({ tenant: stage.tenant, role: "service" })}`;
    const send = async (body: string | Uint8Array<ArrayBuffer>, type = "application/json") => {
      const url = `${stage.server.url}/tidings.v1.PushService/Publish`;
      const headers = { authorization, "content-type": type };
      const response = await fetch(url, { method: "POST", headers, body });
      return [response.status, await response.text()] as const;
    };
    const good = '{"audience":{"userId":"ann"},"message":{"kind":"KIND_NOTIFICATION","title":"x"}}';
    const refused: readonly [body: string | Uint8Array<ArrayBuffer>, status: number, part: string][] = [
      [good.replace('"x"', '["x"]'), 400, "title"],
      [good.replace('"ann"', '{"$ne":""}'), 400, "user_id"],
      [good.replace('"ann"', '""'), 400, "audience.user_id"],
      [good.replace("KIND_NOTIFICATION", "KIND_LOUD"), 400, "kind"],
      [good.replaceAll('"', "'"), 400, "JSON"],
      [good.replace(",", "，"), 400, "JSON"],
      [Uint8Array.from(good.replace("x", "\u00ff"), (letter) => letter.charCodeAt(0)), 400, "utf-8"],
      [good.replace('"x"', JSON.stringify("x".repeat(4_000_000))), 429, "REQUEST_TOO_LARGE"],
      [good.replace('"x"', JSON.stringify("x".repeat(1_000))), 400, "message.title"],
    ];
    for (const [body, status, part] of refused) {
      const [answered, text] = await send(body);
      expect.soft([answered, text], part).toEqual([status, expect.stringContaining(part)]);
    }
    expect((await send("title[]=x&content=y", "application/x-www-form-urlencoded"))[0]).toBe(415);
    expect((await send(good))[0]).toBe(200);
    for (const page of pages) expect((await page.has(1)).titles).toEqual(["x"]);
  });

  test("row 46: a page that stops reading while 12 MB arrive is cut, delays no other page, and loses nothing on return", async () => {
    const [slow, fast] = await Promise.all([stage.page("slow", { over: "ws" }), stage.page("fast")]);
    slow.pause();
    for (let sent = 0; sent < kept; sent += 10) {
      const requests = numbers(10, sent).map((title) => ({ audience: toTenant, message: note(title, { payload }) }));
      await stage.service().publishBatch({ requests });
    }
    await fast.has(kept);
    const openPages = async () => (await stage.service().onlineCount({})).connections;
    await eventually(openPages).toBe(1);
    slow.resume();
    await slow.ended();
    expect(slow.titles.length).toBeLessThan(kept);
    const back = await stage.page("slow", { over: "ws", positions: slow.positions });
    expect([...slow.titles, ...back.titles]).toEqual(numbers(kept));
    expect(fast.titles).toEqual(numbers(kept));
    expect(fast.end).toBeUndefined();
  });
});
