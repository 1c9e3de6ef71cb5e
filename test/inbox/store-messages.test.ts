import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import { startTestCore, type TestCore, toRoom, toTenant, toUser, userOf } from "../support/core.ts";
import type { StoreMethod } from "../support/store-tap.ts";

const ann = userOf("acme");
const member = { ...ann, rooms: ["a", "b"] };

let store: SqliteStore;
let node: TestCore;
/** The calls of the store, one list for each event-loop tick with some: they reach its thread in one message. */
let messages: StoreMethod[][];

beforeEach(async () => {
  store = new SqliteStore({ folder: ":memory:", keep: 10_000 });
  messages = [];
  let isOpen = false;
  node = await startTestCore({
    store,
    around: (method, call) => {
      if (!isOpen) {
        messages.push([]);
        isOpen = true;
        setImmediate(() => {
          isOpen = false;
        });
      }
      messages.at(-1)?.push(method);
      return call();
    },
  });
});
afterEach(() => node.close());

/** The messages to the store until `work` is done. */
async function sentBy(work: () => Promise<unknown>): Promise<StoreMethod[][]> {
  await node.settle();
  messages = [];
  await work();
  await node.settle();
  return messages;
}

async function hello(user = ann): Promise<number> {
  const reader = node.subscribe(user);
  const { unread } = await reader.first("hello");
  await reader.first("caughtUp");
  await reader.close();
  return unread?.total ?? -1;
}

describe.each([
  { who: "without rooms", user: ann },
  { who: "with rooms in the token", user: member },
])("A user $who", ({ user }) => {
  beforeEach(async () => {
    await hello(user);
    await node.publishMany("acme", toUser("ann"), 20);
    await node.publishMany("acme", toTenant, 20);
    await node.publishMany("acme", toRoom("a"), 20);
  });
  const unread = () => (user === ann ? 40 : 60);

  test("gets Hello by one message to the store, also when there are new messages", async () => {
    expect(await sentBy(async () => expect(await hello(user)).toBe(unread()))).toHaveLength(1);
    await node.publishMany("acme", toTenant, 5);
    expect(await sentBy(async () => expect(await hello(user)).toBe(unread() + 5))).toHaveLength(1);
    await node.pass(60_000);
    // The list of blocked users is read again.
    const sent = await sentBy(async () => expect(await hello(user)).toBe(unread() + 5));
    expect(sent.flat().toSorted()).toEqual(["bounds", "countNotifications", "readState", "readState"]);
  });

  test("gets Hello by two messages to the store after a change of the read state", async () => {
    await hello(user);
    await node.markAll(user);
    await node.publish("acme", toUser("ann"));
    // MarkRead has counted by the new state.
    expect(await sentBy(async () => expect(await hello(user)).toBe(1))).toHaveLength(1);
    await store.saveReadState("acme", "ann", await withNextVersion());
    expect(await sentBy(async () => expect(await hello(user)).toBe(1))).toHaveLength(2);
  });

  test("gets the first page of ListUnread by two messages to the store", async () => {
    const list = async () => expect((await node.unread(user)).unread.total).toBe(unread());
    await list();
    const sent = await sentBy(list);
    expect(sent).toHaveLength(2);
    expect(sent[0]?.toSorted()).toEqual(["countNotifications", "readState"]);
    expect(new Set(sent[1])).toEqual(new Set(["select"]));
  });
});

test("Hello for a user without cached state asks once for the read state, the totals and the other bounds", async () => {
  await hello();
  const other = await startTestCore({ store });
  const reader = other.subscribe(ann);
  await reader.first("caughtUp");
  // One call each for blocks, the read state and the totals.
  expect(other.called("readState")).toBe(2);
  expect(other.called("countNotifications")).toBe(1);
  expect(other.called("bounds")).toBe(1);
  await other.close();
});

/** The stored read state of ann, as another node saves it again. */
async function withNextVersion() {
  const { version, json } = await store.readState("acme", "ann");
  return { version: version + 1, json };
}
