/** Jobs that report their stages, and notices with a link. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { RoomMode } from "../../gen/tidings/v1/push_service_pb.ts";
import { event, json, note, toRoom, toUser } from "./audiences.ts";
import { Stage } from "./stage.ts";

describe("Jobs", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  });
  afterEach(() => stage.leave());
  afterAll(() => stage.close());

  test("row 35: a job reports its stages in order, and a page that is reloaded midway gets each of them once", async () => {
    const room = "job/batchWriteCard/staff-9";
    const open = () => stage.page("staff-9", { rooms: ["job/*/{sub}"], join: { [room]: RoomMode.ANY }, over: "ws" });
    const stageData = (n: number) => ({ time: "20181203", tradeId: `trade ${n}`, phoneNo: ["13800000000"], total: n });
    const report = (n: number) =>
      stage.publish(toRoom(room), event("machineOne", { ttl: durationFromMs(3_600_000), payload: json(stageData(n)) }));
    const page = await open();
    for (const n of [1, 2, 3]) await report(n);
    await page.has(3);
    page.cut();
    const reloaded = await open();
    expect(reloaded.messages).toHaveLength(3);
    for (const n of [4, 5]) await report(n);
    await reloaded.has(5);
    await stage.settle("staff-9", reloaded);
    expect(reloaded.messages.map(({ event, payload }) => [event, payload])).toMatchObject(
      [1, 2, 3, 4, 5].map((n) => ["machineOne", json(stageData(n))]),
    );
    const last = await stage.user("staff-9", { rooms: ["job/*/{sub}"] }).listMessages({ roomId: room, pageSize: 1 });
    expect(last.messages.map(({ payload }) => payload)).toMatchObject([json(stageData(5))]);
  });

  test("row 36: a notice for one of the staff waits for the login, has its link, and is read by the click", async () => {
    const url = "app.html#writeCard?tradeId=88";
    const notice = note("Card ready", { event: "serviceMsg", url, payload: json({ msg: "Your card is ready" }) });
    const { receipts } = await stage.publish(toUser("staff-1"), notice);
    expect(receipts).toMatchObject([{ stored: true, online: false }]);
    const page = await stage.page("staff-1");
    expect(page.badge).toBe(1);
    const staff = stage.user("staff-1");
    const { messages } = await staff.listUnread({});
    expect(messages).toMatchObject([{ kind: Kind.NOTIFICATION, event: "serviceMsg", url }]);
    const clicked = messages.map(({ id }) => id);
    await staff.markRead({ target: { case: "ids", value: { messageIds: clicked } } });
    await page.until(({ badge }) => badge === 0);
    expect((await stage.user("staff-2").listUnread({})).unread?.total).toBe(0);
  });
});
