import { expect, test } from "vitest";
import { Scope } from "../../../../gen/tidings/v1/message_pb.ts";
import { PushService } from "../../../../gen/tidings/v1/push_service_pb.ts";
import { errorOf } from "../caller.ts";
import { factsOf, meet, note, type Stage, toTenant, toUser, toUsers } from "./people.ts";

const { publish, publishBatch, listUnread } = PushService.method;

/** Registers the tests of publishing. */
export function publishing(stage: Stage): void {
  test("publishes to a user, and learns whether the user is online", async (context) => {
    const { ann, backend } = await meet(stage, context);
    const away = await backend.call(publish, { audience: toUser("ann"), message: note("one") });
    expect(away.messageId).toMatch(/^[0-9a-f-]{36}$/);
    expect(away.publishTime?.seconds).toBeGreaterThan(1_700_000_000n);
    expect(away.receipts).toMatchObject([{ userId: "ann", stored: true, online: false, connections: 0 }]);

    await ann.live();
    const there = await backend.call(publish, { audience: toUser("ann"), message: note("two") });
    expect(there.receipts).toMatchObject([{ userId: "ann", stored: true, online: true, connections: 1 }]);
  });

  test("publishes to users, with receipts in their order, and to the tenant", async (context) => {
    const { ann, bob, backend } = await meet(stage, context);
    const { receipts } = await backend.call(publish, { audience: toUsers("bob", "ann", "bob"), message: note("both") });
    expect(receipts.map(({ userId }) => userId)).toEqual(["bob", "ann"]);
    await bob.live();
    const { onlineUsers } = await backend.call(publish, { audience: toTenant, message: note("all") });
    expect(onlineUsers).toBe(1);
    const { messages } = await ann.call(listUnread, {});
    expect(messages.map(({ title, scope }) => [title, scope])).toEqual([
      ["all", Scope.TENANT],
      ["both", Scope.USER],
    ]);
  });

  test("repeats a publish with its request_id without a second message", async (context) => {
    const { ann, backend } = await meet(stage, context);
    const request = { audience: toUser("ann"), message: note("once"), requestId: "r-1" };
    const { messageId } = await backend.call(publish, request);
    expect(await backend.call(publish, request)).toMatchObject({ messageId, duplicate: true });
    const reused = await errorOf(backend.call(publish, { ...request, message: note("other") }));
    expect(factsOf(reused)).toEqual({ code: "already_exists", reason: "REQUEST_ID_REUSED", field: "request_id" });
    expect((await ann.call(listUnread, {})).unread?.total).toBe(1);
  });

  test("publishes a batch, with an outcome for each publish", async (context) => {
    const { ann, backend } = await meet(stage, context);
    const good = { audience: toUser("ann"), message: note("good") };
    const bad = { audience: toUser("ann"), message: note("bad", { url: "javascript:alert(1)" }) };
    const { outcomes } = await backend.call(publishBatch, { requests: [good, bad, good] });
    expect(outcomes.map(({ result }) => result.case)).toEqual(["ok", "error", "ok"]);
    expect(outcomes[1]?.result.value).toMatchObject({
      code: "invalid_argument",
      reason: "FIELD_INVALID",
      message: expect.stringContaining("requests[1].message.url: "),
    });
    expect((await ann.call(listUnread, {})).unread?.total).toBe(2);
  });
}
