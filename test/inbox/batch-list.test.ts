import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Message } from "../../gen/tidings/v1/message_pb.ts";
import { ListMessagesRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Identity } from "../../src/auth/identity.ts";
import {
  reasonFrom,
  serviceOf,
  startTestCore,
  type TestCore,
  toEveryone,
  toRoom,
  toTenant,
  toUser,
  toUsers,
  userOf,
} from "../support/core.ts";

let node: TestCore;
let tenants = 0;
beforeAll(async () => {
  node = await startTestCore();
});
afterAll(() => node.close());

const newTenant = () => `tenant-${++tenants}`;

/** Lists all of a batch, page by page. */
async function list(caller: Identity, batchId: string, { pageSize = 100, tenantId = "" } = {}): Promise<Message[]> {
  const messages: Message[] = [];
  let pageToken = "";
  do {
    const page = await node.messages(caller, { batchId, pageSize, pageToken, tenantId });
    expect(page.messages.length).toBeLessThanOrEqual(pageSize);
    messages.push(...page.messages);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return messages;
}

const summary = (messages: readonly Message[]) =>
  messages.map(({ id, receiverId, read }) => `${id} ${receiverId} ${read}`);

describe("A batch", () => {
  test("is listed whole, newest first, with each receiver and read flag", async () => {
    const tenant = newTenant();
    const draft = { batchId: "b" };
    const wide = (await node.publish(tenant, toUsers("ann", "bob"), draft)).messageId;
    await node.publish(tenant, toUser("ann"));
    const single = (await node.publish(tenant, toUser("cyd"), { ...draft, title: "for Cyd" })).messageId;
    const all = (await node.publish(tenant, toTenant, draft)).messageId;
    const room = (await node.publish(tenant, toRoom("a"), draft)).messageId;
    await node.markAll(userOf(tenant, "bob"));
    await node.markIds(userOf(tenant, "cyd"), [single]);
    await node.markIds(userOf(tenant, "cyd"), [single], { unread: true });
    await node.delete(userOf(tenant, "ann"), { ids: { messageIds: [wide] } });
    const listed = await list(serviceOf(tenant), "b");
    expect(summary(listed.slice(0, 3))).toEqual([`${room}  false`, `${all}  false`, `${single} cyd false`]);
    expect(summary(listed.slice(3)).sort()).toEqual([`${wide} ann false`, `${wide} bob true`].sort());
    expect(listed[2]).toMatchObject({ title: "for Cyd", batchId: "b", position: { feed: "user", seq: "1" } });
    expect(listed.map(({ position }) => position?.feed)).toEqual(["room/a", "tenant", "user", "user", "user"]);
  });

  test("is complete in pages of any size while more of it is published", async () => {
    const tenant = newTenant();
    const users = Array.from({ length: 40 }, (_, index) => `user-${index}`);
    const ids: string[] = [];
    for (let index = 0; index < 4; index++) {
      ids.push((await node.publish(tenant, toUsers(...users.slice(0, 10 * (index + 1))), { batchId: "b" })).messageId);
    }
    for (const pageSize of [1, 7, 50, 100]) {
      const listed = await list(serviceOf(tenant), "b", { pageSize });
      expect(listed).toHaveLength(100);
      expect(new Set(summary(listed)).size).toBe(100);
      expect([...new Set(listed.map(({ id }) => id))]).toEqual(ids.toReversed());
    }
    const first = await node.messages(serviceOf(tenant), { batchId: "b", pageSize: 60 });
    await node.publish(tenant, toUser("ann"), { batchId: "b" });
    const rest = await node.messages(serviceOf(tenant), { batchId: "b", pageSize: 60, pageToken: first.nextPageToken });
    expect(new Set(summary([...first.messages, ...rest.messages])).size).toBe(100);
    expect(rest.messages).toHaveLength(40);
  });

  test("belongs to one tenant, or to none if it was published to everyone", async () => {
    const [ours, theirs] = [newTenant(), newTenant()];
    for (const tenant of [ours, theirs]) await node.publish(tenant, toUser("ann"), { batchId: "same" });
    await node.publish(undefined, toEveryone, { batchId: "same" });
    expect(await list(serviceOf(ours), "same")).toMatchObject([{ receiverId: "ann", scope: 1 }]);
    expect(await list(serviceOf(), "same", { tenantId: theirs })).toHaveLength(1);
    expect(await list(serviceOf(), "same")).toMatchObject([{ receiverId: "", position: { feed: "everyone" } }]);
    expect(await reasonFrom(list(serviceOf(ours), "same", { tenantId: theirs }))).toBe("TENANT_FORBIDDEN");
    const { nextPageToken: pageToken } = await node.messages(serviceOf(ours), { batchId: "none" });
    expect(pageToken).toBe("");
    // It would be unread in the tests that follow.
    expect(await node.core.recaller.recallBatch("", "same")).toBe(1);
  });

  test("refuses the page tokens of another batch or tenant", async () => {
    const [ours, theirs] = [newTenant(), newTenant()];
    for (const tenant of [ours, theirs])
      for (const batchId of ["b", "c"]) await node.publish(tenant, toUsers("ann", "bob"), { batchId });
    const { nextPageToken: pageToken } = await node.messages(serviceOf(ours), { batchId: "b", pageSize: 1 });
    for (const [caller, batchId] of [
      [serviceOf(ours), "c"],
      [serviceOf(theirs), "b"],
    ] as const) {
      expect(await reasonFrom(node.messages(caller, { batchId, pageSize: 1, pageToken }))).toBe("PAGE_TOKEN_INVALID");
    }
    expect((await node.messages(serviceOf(ours), { batchId: "b", pageSize: 1, pageToken })).messages).toHaveLength(1);
  });

  test.each<[string, MessageInitShape<typeof ListMessagesRequestSchema>]>([
    ["kinds", { kinds: [1] }],
    ["categories", { categories: ["x"] }],
    ["actor_id", { actorId: "x" }],
    ["object", { object: { type: "t", id: "o" } }],
    ["room_id", { roomId: "a" }],
    ["start_time", { startTime: { seconds: 1n } }],
    ["end_time", { endTime: { seconds: 1n } }],
  ])("is listed whole, and so refuses the filter %s", async (field, filter) => {
    const request = create(ListMessagesRequestSchema, filter);
    request.batchId = "b";
    const listing = node.messages(serviceOf("acme"), request);
    await expect(listing).rejects.toThrow(`${field}: leave it out`);
  });

  test("is listed for a user as far as it is in the user's inbox", async () => {
    const tenant = newTenant();
    await node.publish(tenant, toUsers("ann", "bob"), { batchId: "b" });
    const listed = await list(userOf(tenant), "b");
    expect(listed).toMatchObject([{ batchId: "b", receiverId: "" }]);
    expect(await list(userOf(tenant, "cyd"), "b")).toEqual([]);
  });
});

describe("The recall of a batch", () => {
  test("removes all of the batch and nothing else, and returns the number of messages", async () => {
    const [ours, theirs] = [newTenant(), newTenant()];
    const reader = await node.live(userOf(ours));
    for (const tenant of [ours, theirs]) {
      await node.publish(tenant, toUsers("ann", "bob"), { batchId: "b" });
      await node.publishMany(tenant, toUser("ann"), 3, () => ({ batchId: "b" }));
      await node.publish(tenant, toUser("ann"), { batchId: "c" });
    }
    expect(await node.core.recaller.recallBatch(ours, "b")).toBe(4);
    expect(await node.core.recaller.recallBatch(ours, "b")).toBe(0);
    await node.settle();
    expect(reader.badge.total).toBe(1);
    expect(await list(serviceOf(ours), "b")).toEqual([]);
    expect((await node.unread(userOf(ours))).messages).toMatchObject([{ batchId: "c" }]);
    expect((await node.unread(userOf(ours, "bob"))).unread.total).toBe(0);
    expect((await node.unread(userOf(theirs))).unread.total).toBe(5);
  });

  test("takes as many steps as it needs", async () => {
    const tenant = newTenant();
    for (let round = 0; round < 3; round++) {
      await node.publishMany(tenant, toUsers("ann", "bob"), 400, () => ({ batchId: "b" }));
    }
    expect(await node.core.recaller.recallBatch(tenant, "b")).toBe(1200);
    expect((await node.unread(userOf(tenant))).unread.total).toBe(0);
  });
});
