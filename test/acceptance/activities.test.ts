/** Activities: the log of a company and of its objects. */
import { timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Kind, type Message } from "../../gen/tidings/v1/message_pb.ts";
import { FakeClock } from "../support/clock.ts";
import { activity, note, toRoom, toTenant, toUser, toUsers } from "./audiences.ts";
import { refusal, Stage } from "./stage.ts";

const hour = 3_600_000;
const titlesOf = (messages: readonly Message[]) => messages.map(({ title }) => title);

describe("Activities", () => {
  let clock: FakeClock;
  let stage: Stage;
  beforeAll(async () => {
    clock = new FakeClock(Date.UTC(2027, 0, 1));
    stage = await Stage.open({ clock });
  });
  afterEach(() => stage.leave());
  afterAll(() => stage.close());

  test("row 2: an activity reaches every page of its company and no other, and is stored once", async () => {
    const colleagues = await Promise.all([stage.page("ann", { over: "grpc" }), stage.page("bob", { over: "ws" })]);
    const stranger = await stage.page("wei", { tenant: "elsewhere" });
    const { messageId, onlineUsers } = await stage.publish(toTenant, activity("Ann closed task 7"));
    expect(onlineUsers).toBe(2);
    for (const page of colleagues) expect((await page.has(1)).messages[0]).toMatchObject({ id: messageId });
    // One position in one feed, which all users share.
    const lists = await Promise.all(["ann", "bob", "cy"].map((user) => stage.user(user).listMessages({})));
    const positions = lists.map(({ messages }) =>
      messages.map(({ id, position }) => [id, position?.feed, position?.seq]),
    );
    expect(positions).toEqual(positions.map(() => [[messageId, "activity", "1"]]));
    await stage.provider().publish({ tenantId: "elsewhere", audience: toTenant, message: activity("theirs") });
    expect((await stranger.has(1)).titles).toEqual(["theirs"]);
  });

  test("row 7: an activity may name a receiver and is in no inbox; a message without an audience is refused", async () => {
    const page = await stage.page("bob");
    await stage.publish(toTenant, activity("to whom it may concern"));
    const { receipts } = await stage.publish(toUser("ann"), activity("Bob took over from Ann"));
    expect(receipts).toMatchObject([{ userId: "ann", stored: true }]);
    expect((await page.has(2)).messages.map(({ receiverId }) => receiverId)).toEqual(["", "ann"]);
    expect((await stage.user("ann").listUnread({})).unread?.total).toBe(0);
    expect(page.badge).toBe(0);
    const refused = await Promise.all([
      refusal(stage.service().publish({ message: note("to whom?") })),
      refusal(stage.service().publish({ audience: {}, message: activity("where?") })),
      refusal(stage.publish(toUsers(["ann", "bob"]), activity("one receiver at most"))),
      refusal(stage.publish(toRoom("lobby"), activity("a company's, not a room's"))),
    ]);
    expect(refused).toEqual(refused.map(() => "invalid_argument FIELD_INVALID"));
  });

  test("row 21: the log of a company is listed newest first, 15 at a time, by day and by time", async () => {
    const start = clock.now();
    for (let n = 0; n < 40; n++) {
      await stage.publish(toTenant, activity(`${n}`));
      await clock.advance(2 * hour);
    }
    const ann = stage.user("ann");
    const kinds = [Kind.ACTIVITY];
    const first = await ann.listMessages({ kinds });
    expect(titlesOf(first.messages)).toEqual(Array.from({ length: 15 }, (_, n) => `${39 - n}`));
    await stage.publish(toTenant, activity("new"));
    const second = await ann.listMessages({ kinds, pageToken: first.nextPageToken });
    expect(titlesOf(second.messages)).toEqual(Array.from({ length: 15 }, (_, n) => `${24 - n}`));
    // The days for which a page would show headings.
    const days = first.messages.map(({ publishTime }) => publishTime && timestampDate(publishTime).getUTCDate());
    expect([...new Set(days)]).toEqual([4, 3]);
    // The start time is inclusive, the end time exclusive.
    const range = { startTime: timestampFromMs(start + 10 * hour), endTime: timestampFromMs(start + 16 * hour) };
    expect(titlesOf((await ann.listMessages({ kinds, ...range })).messages)).toEqual(["7", "6", "5"]);
    expect(titlesOf((await stage.service().listMessages({ kinds, ...range })).messages)).toEqual(["7", "6", "5"]);
  });

  test("row 22: the log of an object has the activities of that object in that company, and no others", async () => {
    const seven = { type: "task", id: "7" };
    await stage.publish(toTenant, activity("opened", { object: seven, actor: { id: "ann" } }));
    await stage.publish(toTenant, activity("another id", { object: { type: "task", id: "77" } }));
    await stage.publish(toTenant, activity("another type", { object: { type: "doc", id: "7" } }));
    await stage.publish(toTenant, activity("closed", { object: seven, actor: { id: "bob" } }));
    const other = { tenantId: "elsewhere", audience: toTenant };
    await stage.provider().publish({ ...other, message: activity("of another company", { object: seven }) });
    const ann = stage.user("ann");
    expect(titlesOf((await ann.listMessages({ object: seven })).messages)).toEqual(["closed", "opened"]);
    expect(titlesOf((await ann.listMessages({ object: seven, actorId: "bob" })).messages)).toEqual(["closed"]);
    expect(titlesOf((await stage.service().listMessages({ object: seven })).messages)).toEqual(["closed", "opened"]);
    const stranger = stage.user("wei", { tenant: "elsewhere" });
    expect(titlesOf((await stranger.listMessages({ object: seven })).messages)).toEqual(["of another company"]);
  });
});
