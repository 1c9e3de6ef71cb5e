/** Rooms: their members, the right to publish, and the messages that members get. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { RoomMode } from "../../gen/tidings/v1/push_service_pb.ts";
import { event, note, toRoom, toTenant, toUser } from "./audiences.ts";
import { marker } from "./page.ts";
import { refusal, Stage, ways } from "./stage.ts";

const { ANY, FIRST, LAST } = RoomMode;

describe("Rooms", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  });
  afterEach(() => stage.leave());
  afterAll(() => stage.close());

  test("row 29: channels do not mix, neither their public messages nor their private ones", async () => {
    const rooms = ["message", "other"];
    const [inMessage, inOther] = await Promise.all([
      stage.page("ann", { rooms, join: { message: ANY }, events: ["public", "message", marker] }),
      stage.page("ann", { rooms, join: { other: ANY }, events: ["public", "other", marker], over: "ws" }),
    ]);
    const stranger = await stage.page("bob", { rooms, join: { message: ANY } });
    await stage.publish(toRoom("message"), event("public", { title: "to all in message" }));
    await stage.publish(toUser("ann"), event("message", { title: "to ann in message" }));
    await stage.settle("ann", inMessage, inOther);
    await stage.settle("bob", stranger);
    expect(inMessage.titles.sort()).toEqual(["to all in message", "to ann in message"]);
    expect(inOther.titles).toEqual([]);
    expect(stranger.titles).toEqual(["to all in message"]);
  });

  /** A device of one member of the staff. */
  const device = (instanceId: string, mode: RoomMode, over = ways[0]) =>
    stage.page("staff-1", {
      rooms: ["seat/*"],
      takeover: ["seat/*"],
      join: { "seat/1": mode },
      instanceId,
      ...(over && { over }),
    });

  test("row 37: the first device keeps the room, others are refused and stay connected, and its own stale connection does not refuse it", async () => {
    const first = await device("a", FIRST);
    const second = await device("b", FIRST, "ws");
    expect([first.rooms, second.rooms]).toEqual([["seat/1 joined"], ["seat/1 refused already_exists"]]);
    await stage.publish(toUser("staff-1"), note("for both devices"));
    expect((await second.has(1)).titles).toEqual(["for both devices"]);
    // The server still holds the old stream, as after a lost network.
    const returned = await device("a", FIRST);
    expect(returned.rooms).toEqual(["seat/1 joined"]);
    await first.until(({ rooms }) => rooms.includes("seat/1 kicked already_exists"));
  });

  test("row 37: the last device takes the room, and the ones before are kicked, get no more of it and do not come back", async () => {
    const older = await device("a", LAST);
    const newer = await device("b", LAST, "ws");
    await older.until(({ rooms }) => rooms.length === 2);
    expect([older.rooms, newer.rooms]).toEqual([["seat/1 joined", "seat/1 kicked already_exists"], ["seat/1 joined"]]);
    await stage.publish(toRoom("seat/1"), event("for the newest", { title: "for the newest" }));
    await stage.settle("staff-1", older, newer);
    expect([older.titles, newer.titles]).toEqual([[], ["for the newest"]]);
    const inRoom = { scope: { case: "roomId", value: "seat/1" } } as const;
    expect(await stage.service().onlineCount(inRoom)).toMatchObject({ users: 1, connections: 1 });
  });

  test("row 37: all of five devices are kicked when another one takes the room", async () => {
    const five = await Promise.all(["a", "b", "c", "d", "e"].map((name, n) => device(name, ANY, ways[n % 3])));
    expect(five.map(({ rooms }) => rooms)).toEqual(five.map(() => ["seat/1 joined"]));
    expect((await device("f", LAST)).rooms).toEqual(["seat/1 joined"]);
    for (const page of five) await page.until(({ rooms }) => rooms.includes("seat/1 kicked already_exists"));
  });

  test("row 37: of 20 devices that join as the first at the same time, exactly one gets the room", async () => {
    const devices = await Promise.all(Array.from({ length: 20 }, (_, n) => device(`d${n}`, FIRST, ways[n % 3])));
    const outcomes = devices.flatMap(({ rooms }) => rooms).sort();
    expect(outcomes).toEqual(["seat/1 joined", ...Array(19).fill("seat/1 refused already_exists")]);
  });

  test("row 38: two users meet in one room in either order, and nobody else may join or publish", async () => {
    const [ann, bob] = await Promise.all([
      stage.page("ann", { join: { "dm/ann/bob": ANY } }),
      stage.page("bob", { join: { "dm/bob/ann": ANY }, over: "ws" }),
    ]);
    await stage.user("ann").publish({ audience: toRoom("dm/bob/ann"), message: note("hello Bob") });
    await stage.user("bob").publish({ audience: toRoom("dm/ann/bob"), message: note("hello Ann") });
    for (const page of [ann, bob]) {
      await page.has(2);
      expect(page.messages.map(({ title, actor }) => [title, actor?.id])).toEqual([
        ["hello Bob", "ann"],
        ["hello Ann", "bob"],
      ]);
    }
    const eve = await stage.page("eve", { rooms: ["**"], publish: ["**"], join: { "dm/ann/bob": ANY } });
    expect(eve.rooms).toEqual(["dm/ann/bob refused permission_denied"]);
    const forged = stage
      .user("eve", { publish: ["**"] })
      .publish({ audience: toRoom("dm/ann/bob"), message: note("I am Ann") });
    expect(await refusal(forged)).toBe("permission_denied ROOM_FORBIDDEN");
    // 1 with 23 is not 12 with 3.
    const twelve = await stage.page("12", { join: { "dm/12/3": ANY } });
    await stage.user("1").publish({ audience: toRoom("dm/1/23"), message: note("for 23") });
    await stage.settle("12", twelve);
    expect(twelve.titles).toEqual([]);
    expect((await stage.user("23").listUnread({})).messages.map(({ title }) => title)).toEqual(["for 23"]);
  });

  test("row 38: all members of a group see one order, an absent one finds it in the inbox, and strangers get nothing", async () => {
    const member = { rooms: ["group/7"], publish: ["group/7"] };
    const pages = await Promise.all(
      ["ann", "bob"].map((user, n) => stage.page(user, { ...member, join: { "group/7": ANY }, over: ways[n] ?? "ws" })),
    );
    const lines = Array.from({ length: 10 }, (_, n) => n);
    const say = (user: string) =>
      Promise.all(
        lines.map((n) =>
          stage.user(user, member).publish({ audience: toRoom("group/7"), message: note(`${user} ${n}`) }),
        ),
      );
    await Promise.all([say("ann"), say("bob")]);
    const [one, two] = await Promise.all(pages.map((page) => page.has(20)));
    expect(one?.titles).toEqual(two?.titles);
    const { messages, unread } = await stage.user("cy", member).listUnread({ pageSize: 100 });
    expect(messages.map(({ title }) => title).reverse()).toEqual(one?.titles);
    expect(unread?.total).toBe(20);
    // A user's own messages are read.
    expect((await stage.user("ann", member).listUnread({})).unread?.total).toBe(10);
    const stranger = stage.user("eve");
    expect((await stranger.listUnread({})).unread?.total).toBe(0);
    expect(await refusal(stranger.listMessages({ roomId: "group/7" }))).toBe("permission_denied ROOM_FORBIDDEN");
    const speaking = stranger.publish({ audience: toRoom("group/7"), message: note("let me in") });
    expect(await refusal(speaking)).toBe("permission_denied ROOM_FORBIDDEN");
  });

  test("row 40: a page gets the events that it listens for, of the company and of its room; unnamed ones are `message`", async () => {
    const page = await stage.page("ann", { rooms: ["*"], join: { "456": ANY }, events: ["test", marker] });
    const all = await stage.page("ann", { rooms: ["*"], join: { "456": ANY }, over: "ws" });
    await stage.publish(toTenant, event("test", { title: "global" }));
    await stage.publish(toRoom("456"), event("test", { title: "in the room" }));
    await stage.publish(toRoom("789"), event("test", { title: "in another room" }));
    await stage.publish(toRoom("456"), event("test2", { title: "another event" }));
    await stage.publish(toRoom("456"), event("", { title: "unnamed" }));
    await stage.settle("ann", page, all);
    expect(page.titles.sort()).toEqual(["global", "in the room"]);
    expect(all.titles.sort()).toEqual(["another event", "global", "in the room", "unnamed"]);
    expect(all.messages.find(({ title }) => title === "unnamed")?.event).toBe("message");
  });
});
