import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kind, type Message } from "../../gen/tidings/v1/message_pb.ts";
import type { Identity } from "../../src/auth/identity.ts";
import {
  reasonFrom,
  serviceOf,
  startTestCore,
  type TestCore,
  type To,
  toEveryone,
  toTenant,
  toUser,
  userOf,
  withTestCore,
} from "../support/core.ts";

let node: TestCore;
let tenants = 0;
beforeAll(async () => {
  node = await startTestCore();
});
afterAll(() => node.close());

/** Returns a user of a fresh tenant. */
function fresh() {
  return userOf(`tenant-${++tenants}`);
}

function ids(messages: readonly Message[]): string[] {
  return messages.map(({ id }) => id);
}

/** Lists all pages of ListMessages; `between` runs after each page but the last. */
async function allPages(
  node: TestCore,
  caller: Identity,
  request: object,
  between = async () => {},
): Promise<Message[][]> {
  const pages: Message[][] = [];
  let pageToken = "";
  do {
    const page = await node.messages(caller, { ...request, pageToken });
    pages.push(page.messages);
    pageToken = page.nextPageToken;
    if (pageToken !== "") await between();
  } while (pageToken !== "");
  return pages;
}

describe("Pages", () => {
  test("go from the newest message to the oldest over all feeds", async () => {
    await withTestCore(async (node) => {
      const user = userOf("acme");
      const published: string[] = [];
      for (let index = 0; index < 23; index++) {
        await node.pass(1);
        const to = [toUser("ann"), toTenant, toEveryone][index % 3] as To;
        published.push((await node.publish(index % 3 === 2 ? undefined : "acme", to)).messageId);
      }
      const pages = await allPages(node, user, { pageSize: 5 });
      expect(ids(pages.flat())).toEqual(published.toReversed());
      expect(pages.map(({ length }) => length)).toEqual([5, 5, 5, 5, 3]);
    });
  });

  test("have the documented sizes", async () => {
    const user = fresh();
    await node.publishMany(user.tenant, toUser("ann"), 120);
    expect((await node.unread(user)).messages).toHaveLength(10);
    expect((await node.messages(user)).messages).toHaveLength(15);
    expect((await node.unread(user, { pageSize: 1 })).messages).toHaveLength(1);
    expect((await node.unread(user, { pageSize: 2_000_000_000 })).messages).toHaveLength(100);
    expect((await node.messages(user, { pageSize: 101 })).messages).toHaveLength(100);
  });

  test("end with an empty token exactly at the end", async () => {
    const user = fresh();
    await node.publishMany(user.tenant, toUser("ann"), 10);
    expect((await node.unread(user, { pageSize: 10 })).nextPageToken).toBe("");
    const { nextPageToken } = await node.unread(user, { pageSize: 9 });
    expect(nextPageToken).not.toBe("");
    const rest = await node.unread(user, { pageSize: 9, pageToken: nextPageToken });
    expect([rest.messages.length, rest.nextPageToken]).toEqual([1, ""]);
    expect(await node.unread(fresh())).toMatchObject({ messages: [], nextPageToken: "" });
  });

  test("are not changed by messages that come after the first page", async () => {
    const target = fc.constantFrom<"user" | "tenant">("user", "tenant");
    await fc.assert(
      fc.asyncProperty(
        fc.array(target, { maxLength: 15 }),
        fc.array(target, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 6 }),
        async (before, meanwhile, pageSize) => {
          const user = userOf(`tenant-${++tenants}`);
          const publish = async (to: "user" | "tenant") => {
            await node.pass(1);
            return (await node.publish(user.tenant, to === "user" ? toUser("ann") : toTenant)).messageId;
          };
          const published: string[] = [];
          for (const to of before) published.push(await publish(to));
          const request = { pageSize, startTime: timestampFromMs(node.clock.now() - before.length) };
          const pages = await allPages(node, user, request, async () => {
            for (const to of meanwhile) await publish(to);
          });
          expect(ids(pages.flat())).toEqual(published.toReversed());
        },
      ),
      { numRuns: 40 },
    );
  });

  test("of unread messages go on after those listed, even if these are read meanwhile", async () => {
    const user = fresh();
    const published = await node.publishMany(user.tenant, toUser("ann"), 9);
    const first = await node.unread(user, { pageSize: 4 });
    await node.markIds(user, ids(first.messages));
    const second = await node.unread(user, { pageSize: 5, pageToken: first.nextPageToken });
    expect(ids([...first.messages, ...second.messages])).toEqual(published.toReversed());
  });

  test("leave out messages that were recalled or deleted meanwhile", async () => {
    const user = fresh();
    const published = await node.publishMany(user.tenant, toUser("ann"), 6);
    const { nextPageToken } = await node.messages(user, { pageSize: 2 });
    await node.core.recaller.recall(user.tenant, [published[3] as string]);
    await node.delete(user, { ids: { messageIds: [published[1] as string] } });
    const { messages } = await node.messages(user, { pageSize: 10, pageToken: nextPageToken });
    expect(ids(messages)).toEqual([published[2], published[0]]);
  });
});

describe("A page token", () => {
  async function first(request: object = {}) {
    const user = fresh();
    await node.publishMany(user.tenant, toUser("ann"), 5, () => ({ category: "a" }));
    await node.publishMany(user.tenant, toTenant, 5, () => ({ category: "a" }));
    return { user, token: (await node.messages(user, { pageSize: 2, ...request })).nextPageToken };
  }

  test("is valid for another page size", async () => {
    const { user, token } = await first();
    expect((await node.messages(user, { pageSize: 8, pageToken: token })).messages).toHaveLength(8);
  });

  test("is invalid for another caller, tenant, role, list or filter", async () => {
    const { user, token: pageToken } = await first({ categories: ["a"] });
    const categories = ["a"];
    const wrong = [
      () => node.messages(userOf(user.tenant, "bob"), { categories, pageToken }),
      () => node.messages(userOf("other", user.subject), { categories, pageToken }),
      () => node.messages({ ...serviceOf(user.tenant), subject: user.subject }, { categories, pageToken }),
      () => node.unread(user, { categories, pageToken }),
      () => node.messages(user, { pageToken }),
      () => node.messages(user, { categories: ["a", "b"], pageToken }),
      () => node.messages(user, { categories, actorId: "x", pageToken }),
      () => node.messages(user, { categories, batchId: "x", pageToken }),
      () => node.messages(user, { categories, kinds: [Kind.NOTIFICATION], pageToken }),
      () => node.messages(user, { categories, object: { type: "a", id: "b" }, pageToken }),
      () => node.messages(user, { categories, startTime: timestampFromMs(1), pageToken }),
      () => node.messages(user, { categories, endTime: timestampFromMs(4e12), pageToken }),
      () => node.messages(user, { categories, pageToken: `${pageToken}A` }),
    ];
    for (const call of wrong) expect(await reasonFrom(call)).toBe("PAGE_TOKEN_INVALID");
    expect((await node.messages(user, { categories, pageToken })).messages).not.toEqual([]);
  });

  test("of a service that is bound to no tenant is valid for the tenant that the service named", async () => {
    const { user } = await first();
    const { nextPageToken: pageToken } = await node.messages(serviceOf(), { tenantId: user.tenant, pageSize: 2 });
    expect(await node.messages(serviceOf(), { tenantId: user.tenant, pageToken })).toBeDefined();
    expect(await reasonFrom(node.messages(serviceOf(), { tenantId: "other", pageToken }))).toBe("PAGE_TOKEN_INVALID");
  });
});

describe("Filters", () => {
  test("are joined by AND", async () => {
    const user = fresh();
    const start = node.clock.now();
    const object = { type: "task", id: "7" };
    const drafts = [
      { title: "1", category: "a", actor: { id: "x" }, object, batchId: "b" },
      { title: "2", category: "a", actor: { id: "y" }, object: { type: "task", id: "8" } },
      { title: "3", category: "b", actor: { id: "x" }, object: { type: "doc", id: "7" } },
      { title: "4", category: "", kind: Kind.ACTIVITY, actor: { id: "x" }, object },
    ];
    for (const draft of drafts) {
      await node.publish(user.tenant, toUser("ann"), draft);
      await node.pass(10);
    }
    const titles = async (request: object) =>
      (await node.messages(user, { ...request, pageSize: 100 })).messages.map(({ title }) => title);
    expect(await titles({ categories: ["a"] })).toEqual(["2", "1"]);
    expect(await titles({ categories: ["", "b"] })).toEqual(["4", "3"]);
    expect(await titles({ actorId: "x" })).toEqual(["4", "3", "1"]);
    expect(await titles({ actorId: "x", categories: ["a"] })).toEqual(["1"]);
    expect(await titles({ object })).toEqual(["4", "1"]);
    expect(await titles({ kinds: [Kind.ACTIVITY] })).toEqual(["4"]);
    expect(await titles({ batchId: "b" })).toEqual(["1"]);
    expect(await titles({ startTime: timestampFromMs(start + 10), endTime: timestampFromMs(start + 30) })).toEqual([
      "3",
      "2",
    ]);
    expect(await titles({ categories: ["nothing"] })).toEqual([]);
    const unread = await node.unread(user, { actorId: "x", categories: ["b"] });
    expect(unread.messages.map(({ title }) => title)).toEqual(["3"]);
    expect(unread.unread.total, "totals are of the whole inbox").toBe(3);
  });
});

describe("ListMessages", () => {
  test("shows a user the inbox with read flags, and the tenant's activities", async () => {
    const user = fresh();
    const read = await node.publish(user.tenant, toUser("ann"), { title: "read" });
    await node.markIds(user, [read.messageId]);
    await node.pass(1);
    await node.publish(user.tenant, toTenant, { title: "unread" });
    await node.publish(user.tenant, toUser("bob"), { title: "bob's" });
    await node.pass(1);
    await node.publish(user.tenant, toTenant, { title: "activity", kind: Kind.ACTIVITY });
    const { messages } = await node.messages(user);
    expect(messages.map(({ title, read }) => [title, read])).toEqual([
      ["activity", false],
      ["unread", false],
      ["read", true],
    ]);
    expect(messages.map(({ position }) => position?.feed)).toEqual(["activity", "tenant", "user"]);
  });

  test("shows a service the feeds of the whole tenant, and no user's inbox", async () => {
    const { tenant } = fresh();
    await node.publish(tenant, toUser("ann"), { title: "ann's" });
    await node.publish(tenant, toTenant, { title: "tenant's" });
    await node.pass(1);
    await node.publish(tenant, toTenant, { title: "activity", kind: Kind.ACTIVITY });
    for (const messages of [
      (await node.messages(serviceOf(tenant))).messages,
      (await node.messages(serviceOf(), { tenantId: tenant })).messages,
    ]) {
      expect(messages.map(({ title }) => title)).toEqual(["activity", "tenant's"]);
    }
  });

  test("shows no caller another tenant", async () => {
    const user = fresh();
    expect(await reasonFrom(node.messages(user, { tenantId: "other" }))).toBe("TENANT_FORBIDDEN");
    expect(await reasonFrom(node.messages(serviceOf(user.tenant), { tenantId: "other" }))).toBe("TENANT_FORBIDDEN");
    expect(await reasonFrom(node.messages(serviceOf()))).toBe("TENANT_REQUIRED");
  });

  test("shows a room only to callers who may enter it", async () => {
    expect(await reasonFrom(node.messages(fresh(), { roomId: "r" }))).toBe("ROOM_FORBIDDEN");
  });
});
