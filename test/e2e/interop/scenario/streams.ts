import { expect, test } from "vitest";
import type { Position } from "../../../../gen/tidings/v1/message_pb.ts";
import { Kind } from "../../../../gen/tidings/v1/message_pb.ts";
import { PushService } from "../../../../gen/tidings/v1/push_service_pb.ts";
import { meet, note, type Stage, toTenant, toUser } from "./people.ts";

const { publish, markRead } = PushService.method;

/** Registers the tests of receiving: live messages, read states, and missed messages. */
export function streams(stage: Stage): void {
  test("receives Hello first, then CaughtUp, then published messages with their positions", async (context) => {
    const { ann, helper } = await meet(stage, context);
    await helper.call(publish, { audience: toUser("ann"), message: note("before") });
    const stream = ann.subscribe();
    const hello = await stream.expect("hello");
    expect(hello.unread).toMatchObject({ total: 1 });
    expect(hello.online).toMatchObject({ users: 1, connections: 1 });
    expect(hello.heartbeatInterval?.seconds).toBe(25n);
    expect(hello.positions.map(({ feed }) => feed)).toEqual(["user", "tenant", "everyone", "activity"]);
    const { positions } = await stream.expect("caughtUp");
    expect(positions).toEqual(hello.positions);

    const { messageId } = await helper.call(publish, { audience: toUser("ann"), message: note("after") });
    const own = positions.find(({ feed }) => feed === "user");
    const live = await stream.expect("message");
    expect(live).toMatchObject({ id: messageId, title: "after", kind: Kind.NOTIFICATION, event: "message" });
    expect(live.position).toMatchObject({ feed: "user", epoch: own?.epoch, seq: "2" });
  });

  test("filters by event name, and receives events that are not stored", async (context) => {
    const { ann, helper } = await meet(stage, context);
    const stream = await ann.live({ events: ["typing"] });
    await helper.call(publish, { audience: toUser("ann"), message: { kind: Kind.EVENT, event: "moved" } });
    await helper.call(publish, { audience: toTenant, message: { kind: Kind.EVENT, event: "typing", title: "bob" } });
    const live = await stream.expect("message");
    expect(live).toMatchObject({ event: "typing", title: "bob" });
    expect(live.position).toBeUndefined();
  });

  test("receives the read state after a mark on another connection", async (context) => {
    const { ann, helper } = await meet(stage, context);
    const { messageId } = await helper.call(publish, { audience: toUser("ann"), message: note("one") });
    const stream = await ann.live();
    await ann.call(markRead, { target: { case: "ids", value: { messageIds: [messageId] } } });
    const { readIds, unread, all } = await stream.expect("readState");
    expect({ readIds, total: unread?.total, all }).toEqual({ readIds: [messageId], total: 0, all: false });
    await ann.call(markRead, { target: { case: "all", value: true }, unread: true });
    expect(await stream.expect("readState")).toMatchObject({ unread: { total: 1 } });
  });

  test("receives exactly the messages after the given positions", async (context) => {
    const { ann, bob, helper } = await meet(stage, context);
    const first = ann.subscribe();
    await first.expect("hello");
    const { positions } = await first.expect("caughtUp");
    await helper.call(publish, { audience: toUser("ann"), message: note("seen") });
    const { position } = await first.expect("message");
    first.cancel();

    for (const title of ["missed 1", "missed 2"]) {
      await helper.call(publish, { audience: toUser("ann"), message: note(title) });
    }
    await helper.call(publish, { audience: toTenant, message: note("missed by all") });
    const last = positions.map((start) => (start.feed === "user" ? (position as Position) : start));
    const second = ann.subscribe({ positions: last });
    expect((await second.expect("hello")).unread?.total).toBe(4);
    const missed = [await second.expect("message"), await second.expect("message"), await second.expect("message")];
    expect(missed.map(({ title }) => title)).toEqual(["missed 1", "missed 2", "missed by all"]);
    await second.expect("caughtUp");

    const stranger = await bob.live();
    await helper.call(publish, { audience: toTenant, message: note("next") });
    for (const stream of [second, stranger]) expect(await stream.expect("message")).toMatchObject({ title: "next" });
  });
}
