import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { RoomMode } from "../../gen/tidings/v1/push_service_pb.ts";
import { startTestCore, type TestCore, toRoom, toTenant, toUser, userOf, withTestCore } from "../support/core.ts";
import { FakeHook, joins, member, story, untilRooms } from "../support/rooms.ts";

const { ANY, LAST } = RoomMode;
const ann = member("ann", ["a", "b"]);
const bob = member("bob", ["a", "b"]);
/** May enter every room, and is in the inbox of none that it has not entered. */
const guest = member("guest", ["*"]);
const event = { kind: Kind.EVENT } as const;
const stored = { ...event, ttl: { seconds: 60n } };
const dayMs = 86_400_000;
let node: TestCore;
beforeEach(async () => {
  node = await startTestCore();
});
afterEach(() => node.close());

function at(room: string, seq: number, epoch = 0) {
  return { feed: `room/${room}`, epoch, seq: String(seq) };
}

describe("A page that joins a room without a position", () => {
  test("gets the stored events, oldest first, between Hello and CaughtUp, and nothing else from before", async () => {
    const first = await node.publish("acme", toRoom("a"), stored);
    await node.publish("acme", toRoom("a"), { category: "x" });
    await node.publish("acme", toRoom("a"), event);
    const short = await node.publish("acme", toRoom("a"), { ...event, ttl: { seconds: 10n } });
    const recalled = await node.publish("acme", toRoom("a"), stored);
    const last = await node.publish("acme", toRoom("a"), stored);
    await node.core.recaller.recall("acme", [recalled.messageId]);
    const early = await node.live(guest, joins(ANY, "a"));
    expect(early.messages.map(({ id }) => id)).toEqual([first, short, last].map(({ messageId }) => messageId));
    await node.pass(10_000);
    const late = await node.live(guest, joins(ANY, "a"));
    expect(late.messages.map(({ id }) => id)).toEqual([first, last].map(({ messageId }) => messageId));
    expect(story(late).slice(0, 5)).toEqual(["hello", "joined", "message", "message", "caughtUp"]);
  });

  test("gets hundreds of stored events among other messages, each once, and then live messages", async () => {
    const ids = await node.publishMany("acme", toRoom("a"), 400, (index) => (index % 2 === 0 ? stored : {}));
    const reader = await node.live(guest, joins(ANY, "a"));
    const { messageId } = await node.publish("acme", toRoom("a"), stored);
    await reader.until(({ messages }) => messages.at(-1)?.id === messageId);
    expect(reader.messages.map(({ id }) => id)).toEqual([...ids.filter((_, index) => index % 2 === 0), messageId]);
  });

  test("gets no stored events of rooms that it does not join", async () => {
    await node.publish("acme", toRoom("a"), stored);
    expect((await node.live(guest, joins(ANY, "b"))).messages).toEqual([]);
    expect((await node.live(ann)).messages).toEqual([]);
    expect((await node.live(userOf("globex", "guest"), joins(ANY, "a"))).messages).toEqual([]);
  });
});

describe("A page that returns with a position in a room", () => {
  test("gets the messages after it, of every kind, and no stored event twice", async () => {
    const ids = await node.publishMany("acme", toRoom("a"), 6, (index) => (index % 2 === 0 ? stored : {}));
    const reader = await node.live(ann, { ...joins(ANY, "a"), positions: [at("a", 2)] });
    expect(reader.messages.map(({ id }) => id)).toEqual(ids.slice(2));
    expect(story(reader).slice(0, 6)).toEqual(["hello", "joined", "message", "message", "message", "message"]);
    const again = await node.live(ann, {
      ...joins(ANY, "a"),
      positions: [...reader.positions].map(([feed, p]) => ({ feed, ...p })),
    });
    expect(again.messages).toEqual([]);
  });

  test("may write the id of a direct room in any form", async () => {
    const [one] = await node.publishMany("acme", toRoom("dm/bob/ann"), 1);
    const reader = await node.live(ann, { ...joins(ANY, "dm/bob/ann"), positions: [at("dm/bob/ann", 0)] });
    expect(reader.messages.map(({ id }) => id)).toEqual([one]);
    expect((await reader.first("hello")).positions.at(-1)?.feed).toBe("room/dm/ann/bob");
  });

  test("is refused a room that it may no longer enter, and nothing else", async () => {
    await node.publishMany("acme", toRoom("c"), 3);
    const reader = await node.live(ann, { ...joins(ANY, "c"), positions: [at("c", 1)] });
    expect(await untilRooms(reader)).toEqual(["refused c permission_denied"]);
    expect(reader.messages).toEqual([]);
  });

  test.each([
    ["POSITION_INVALID", { ...joins(ANY, "a"), positions: [at("b", 0)] }],
    ["POSITION_INVALID", { ...joins(ANY, "dm/ann/bob"), positions: [at("dm/ann/bob", 0), at("dm/bob/ann", 0)] }],
    ["POSITION_IN_FUTURE", { ...joins(ANY, "a"), positions: [at("a", 9)] }],
  ])("gets %s if the position is wrong, and is in no room", async (reason, request) => {
    const reader = node.subscribe(ann, request);
    expect(await reader.end()).toBe(reason);
    expect(reader.events).toEqual([]);
    expect(await node.core.context.presence.count("acme", "a")).toEqual({ users: 0, connections: 0 });
  });

  test("gets a gap if retention has trimmed the room or the feed was rebuilt", async () => {
    await withTestCore(
      async (node) => {
        await node.publishMany("acme", toRoom("a"), 8);
        const positions = [at("a", 1)];
        const reader = await node.live(ann, { ...joins(ANY, "a"), positions });
        expect(reader.all("gap")).toMatchObject([
          { after: at("a", 1, reader.all("gap")[0]?.to?.epoch), to: { seq: "5" } },
        ]);
        expect(story(reader).slice(0, 4)).toEqual(["hello", "joined", "gap", "message"]);
        expect(reader.messages.map(({ position }) => position?.seq)).toEqual(["6", "7", "8"]);
        const other = await node.live(ann, { ...joins(ANY, "a"), positions: [at("a", 4, 7)] });
        expect(other.all("gap")).toMatchObject([{ after: at("a", 4, 7), to: { feed: "room/a", seq: "8" } }]);
      },
      { retention: { count: 3 } },
    );
  });
});

describe("A room that is entered late", () => {
  let hook: FakeHook;
  beforeEach(async () => {
    await node.close();
    hook = new FakeHook();
    node = await startTestCore({ authorize: hook });
  });
  const outsider = member("ann");

  test("comes with its replay: stored events without a position, every missed message with one", async () => {
    const ids = await node.publishMany("acme", toRoom("late"), 4, (index) => (index % 2 === 0 ? stored : {}));
    const without = await node.live(outsider, joins(ANY, "late"));
    const withOne = await node.live(outsider, { ...joins(ANY, "late"), positions: [at("late", 1)] });
    hook.answer("late", true);
    await untilRooms(without);
    await untilRooms(withOne);
    // It may be published while missed messages are still being read, and comes after them.
    const { messageId } = await node.publish("acme", toRoom("late"), event);
    await without.until(({ messages }) => messages.at(-1)?.id === messageId);
    await withOne.until(({ messages }) => messages.at(-1)?.id === messageId);
    expect(without.messages.map(({ id }) => id)).toEqual([ids[0], ids[2], messageId]);
    expect(withOne.messages.map(({ id }) => id)).toEqual([...ids.slice(1), messageId]);
    await node.settle();
    for (const reader of [without, withOne]) expect(reader.badge.total).toBe(2);
  });

  test("comes with new totals, whatever was published while it was entered", async () => {
    const reader = await node.live(outsider, joins(ANY, "late"));
    await node.publishMany("acme", toRoom("late"), 3);
    hook.answer("late", true);
    await node.publish("acme", toRoom("late"));
    await untilRooms(reader);
    await node.settle();
    expect(reader.badge.total).toBe((await node.unread(outsider)).unread.total);
    expect(reader.badge.total).toBe(4);
  });

  test("does not bring back deleted messages, and does not alert for read ones", async () => {
    hook.answer("late", true);
    await node.live(outsider, joins(ANY, "late"));
    const [read, deleted, unread] = (await node.publishMany("acme", toRoom("late"), 3)) as [string, string, string];
    await node.markIds(outsider, [read]);
    await node.delete(outsider, { ids: { messageIds: [deleted] } });
    const slow = new FakeHook();
    hook.known = slow.known.bind(slow);
    hook.ask = slow.ask.bind(slow);
    const reader = node.subscribe(outsider, { ...joins(ANY, "late"), positions: [at("late", 0)] });
    slow.answer("late", true);
    await untilRooms(reader);
    await node.settle();
    expect(reader.messages.map(({ id }) => id)).toEqual([read, unread]);
    expect(reader.messages[0]?.alert).toBe(false);
  });

  test("and was hidden until then is counted once and sent once", async () => {
    // The inbox has the room from an earlier page; this page enters it late.
    hook.answer("late", true);
    const earlier = await node.live(outsider, joins(ANY, "late"));
    await earlier.close();
    const slow = new FakeHook();
    hook.known = () => undefined;
    hook.ask = slow.ask.bind(slow);
    const reader = node.subscribe(outsider, joins(ANY, "late"));
    const before = await node.publishMany("acme", toRoom("late"), 2);
    await node.settle();
    slow.answer("late", true);
    await untilRooms(reader);
    const after = await node.publishMany("acme", toRoom("late"), 2);
    await node.settle();
    expect(reader.messages.map(({ id }) => id)).toEqual(after);
    expect(reader.badge.total).toBe([...before, ...after].length);
    expect((await node.unread(outsider)).unread.total).toBe(4);
  });
});

describe("Notifications of a room", () => {
  test("are unread for members who were offline, and for no others", async () => {
    await (await node.live(guest, joins(ANY, "a"))).close();
    await node.publish("acme", toRoom("a"), { category: "chat" });
    for (const user of [ann, bob, guest]) {
      const { unread, messages } = await node.unread(user);
      expect(unread).toMatchObject({ total: 1, byCategory: { chat: 1 } });
      expect(messages).toMatchObject([{ roomId: "a", position: { feed: "room/a", seq: "1" } }]);
    }
    for (const user of [member("stranger", ["*"]), member("nobody"), { ...ann, tenant: "globex" }]) {
      expect((await node.unread(user)).unread.total).toBe(0);
    }
  });

  test("are unread for both users of a direct room who never opened it", async () => {
    await node.publish("acme", toRoom("dm/ann/bob"));
    for (const name of ["ann", "bob"]) expect((await node.unread(member(name))).unread.total).toBe(1);
    expect((await node.unread(member("cyd"))).unread.total).toBe(0);
  });

  test("are marked, deleted and listed like any other", async () => {
    const ids = (await node.publishMany("acme", toRoom("a"), 4, (i) => ({ category: i === 3 ? "x" : "" }))) as [string];
    const page = await node.live(ann);
    expect((await node.markIds(ann, [ids[0]])).unread.total).toBe(3);
    expect((await node.mark(ann, { categories: ["x"] })).unread.total).toBe(2);
    expect((await node.delete(ann, { ids: { messageIds: ids.slice(1, 2) } })).unread?.total).toBe(1);
    const listed = (await node.messages(ann, { roomId: "a" })).messages;
    expect(listed.map(({ read }) => read)).toEqual([true, false, true]);
    expect((await node.messages(ann)).messages.map(({ id }) => id)).toEqual(listed.map(({ id }) => id));
    expect((await node.markAll(ann)).unread.total).toBe(0);
    await node.settle();
    expect(page.badge.total).toBe(0);
    expect((await node.unread(bob)).unread.total).toBe(4);
  });

  test("change the totals of pages that have not joined it, and are not sent to them", async () => {
    const [inRoom, beside] = [await node.live(ann, joins(ANY, "a")), await node.live(ann)];
    const before = await node.publish("acme", toRoom("a"));
    await node.settle();
    expect([inRoom.messages.length, beside.messages.length]).toEqual([1, 0]);
    expect([inRoom.badge.total, beside.badge.total]).toEqual([1, 1]);
    await node.publish("acme", toRoom("a"), event);
    await node.core.recaller.recall("acme", [before.messageId]);
    await node.settle();
    expect([inRoom.badge.total, beside.badge.total]).toEqual([0, 0]);
    expect(beside.messages).toEqual([]);
    expect(beside.all("gap")).toEqual([]);
    expect((await beside.first("hello")).positions.map(({ feed }) => feed)).not.toContain("room/a");
  });

  test("go on changing the totals of a page that was kicked, and are not sent", async () => {
    const page = await node.live(ann, joins(ANY, "a"));
    await node.live({ ...bob, takeover: ["a"] }, joins(LAST, "a"));
    await node.publishMany("acme", toRoom("a"), 3);
    await node.settle();
    expect(page.messages).toEqual([]);
    expect(page.badge.total).toBe(3);
    expect((await node.unread(ann)).unread.total).toBe(3);
  });

  test("count as read on first contact if they are older than `newcomerDays`", async () => {
    await node.publish("acme", toRoom("a"));
    await node.pass(6 * dayMs);
    await node.publish("acme", toRoom("a"));
    await node.pass(1.5 * dayMs);
    expect((await node.unread(ann)).unread.total).toBe(1);
    await node.pass(7 * dayMs);
    expect((await node.unread(ann)).unread.total).toBe(1);
    expect((await node.unread(bob)).unread.total).toBe(0);
  });

  test("expire in the totals of a page that does not get them", async () => {
    const page = await node.live(ann);
    await node.publish("acme", toRoom("a"), { ttl: { seconds: 5n } });
    await node.settle();
    expect(page.badge.total).toBe(1);
    await node.pass(5000);
    expect(page.badge.total).toBe(0);
  });

  test("leave the totals of a lagging page right, even if retention has trimmed some of them", async () => {
    await withTestCore(
      async (node) => {
        const page = await node.live(ann);
        page.pause();
        await node.publish("acme", toUser("ann"));
        await node.settle();
        await node.publishMany("acme", toRoom("a"), 700);
        page.resume();
        await node.settle();
        expect(page.badge.total).toBe((await node.unread(ann)).unread.total);
        expect(page.badge.total).toBe(101);
        expect(page.all("gap")).toEqual([]);
      },
      { retention: { count: 100 } },
    );
  });
});

describe("A user's own message in a room", () => {
  const speaker = member("ann", ["a"], { publish: ["a"] });

  test("is read for the user, on all pages, and unread for the others", async () => {
    const [page, other] = [await node.live(speaker, joins(ANY, "a")), await node.live(bob, joins(ANY, "a"))];
    const { messageId } = await node.say(speaker, "a");
    await node.settle();
    expect([page.badge.total, other.badge.total]).toEqual([0, 1]);
    expect((await node.unread(speaker)).unread.total).toBe(0);
    expect((await node.messages(speaker, { roomId: "a" })).messages).toMatchObject([{ id: messageId, read: true }]);
    expect((await node.messages(bob, { roomId: "a" })).messages).toMatchObject([{ id: messageId, read: false }]);
  });

  test("is read for its author and unread for the other user of a direct room that neither has opened", async () => {
    await node.say(member("ann"), "dm/bob/ann");
    expect((await node.unread(member("ann"))).unread.total).toBe(0);
    expect((await node.unread(member("bob"))).unread.total).toBe(1);
  });

  test("is read and stored once, even if the user publishes 40 at once", async () => {
    await Promise.all(Array.from({ length: 40 }, (_, index) => node.say(speaker, "a", {}, { requestId: `r${index}` })));
    expect((await node.unread(speaker)).unread.total).toBe(0);
    expect((await node.unread(bob)).unread.total).toBe(40);
  });
});

test("A page in a room that was evicted from the inbox has the same badge as the lists", async () => {
  const page = await node.live(guest, joins(ANY, "first"));
  const rooms = Array.from({ length: 256 }, (_, index) => `r${index}`);
  for (let index = 0; index < rooms.length; index += 64) {
    await (await node.live(guest, joins(ANY, ...rooms.slice(index, index + 64)))).close();
  }
  await node.publish("acme", toRoom("first"));
  await node.publish("acme", toRoom("r7"));
  await node.publish("acme", toTenant);
  await node.settle();
  expect(page.messages.map(({ roomId }) => roomId)).toEqual(["first", ""]);
  expect((await node.unread(guest)).unread.total).toBe(2);
  expect(page.badge.total).toBe(2);
});

test("Pages whose tokens name more rooms than an inbox holds do not evict each other's rooms for ever", async () => {
  const tokens = [0, 1, 2].map((token) =>
    member(
      "ann",
      Array.from({ length: 100 }, (_, index) => `t${token}/r${index}`),
    ),
  );
  for (const token of tokens) await node.live(token);
  await node.settle();
  const before = node.called("saveReadState");
  await node.publish("acme", toUser("ann"));
  await node.settle();
  await node.pass(60_000);
  expect(node.called("saveReadState") - before).toBe(0);
});

test("A page of a user to whom 270 strangers write has the badge of the lists, and hears of the newest and of services", async () => {
  const victim = member("victim", ["team"]);
  const page = await node.live(victim, joins(ANY, "team"));
  await node.publish("acme", toRoom("team"), { title: "from the team" });
  for (let index = 0; index < 270; index++) {
    const name = `mallory-${index}`;
    await node.say(member(name), `dm/victim/${name}`, { title: name });
  }
  await node.pass(1);
  await node.publish("acme", toRoom("dm/victim/zoe"), { title: "from a service" });
  await node.pass(1);
  await node.say(member("honest"), "dm/honest/victim", { title: "hello" });
  await node.settle();
  const { unread, messages } = await node.unread(victim, { pageSize: 100 });
  expect(unread.total).toBe(256);
  expect(messages.slice(0, 2).map(({ title }) => title)).toEqual(["hello", "from a service"]);
  await page.until(({ badge }) => badge.total === 256);
  await node.mark(victim, { target: { case: "all", value: true } });
  await page.until(({ badge }) => badge.total === 0);
});
