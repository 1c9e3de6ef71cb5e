import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { DisconnectRequestSchema } from "../../gen/tidings/v1/admin_service_pb.ts";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { fail } from "../../src/errors.ts";
import { serviceOf, toTenant, toUser, userOf } from "../support/core.ts";
import { withPair } from "../support/nodes.ts";
import type { Around } from "../support/store-tap.ts";

const ann = userOf("acme");
/** Longer than the longest delay before the first batch of questions. */
const soonMs = 300;

describe("A message that the bus has lost", () => {
  test("comes from the store, even if it is the last one before a silence", async () => {
    await withPair(async ({ near, far, nearBus, farBus }) => {
      const reader = await far.live(ann);
      nearBus.cut = true;
      const { messageId } = await near.publish("acme", toUser("ann"));
      await far.pass(60_000);
      expect(reader.messages).toEqual([]);
      farBus.lose(false);
      await far.pass(soonMs);
      expect(reader.messages.map(({ id }) => id)).toEqual([messageId]);
      expect(reader.badge.total).toBe(1);
      expect(far.core.context.gapRepair.repaired).toBe(1);
    });
  });

  test("comes once and in order, in all feeds, even if later notices arrive", async () => {
    await withPair(async ({ near, far, nearBus, farBus }) => {
      const reader = await far.live(ann);
      const ids = await near.publishMany("acme", toUser("ann"), 3);
      nearBus.cut = true;
      ids.push(...(await near.publishMany("acme", toUser("ann"), 200)));
      const broadcasts = await near.publishMany("acme", toTenant, 150);
      const activities = await near.publishMany("acme", toTenant, 2, () => ({ kind: Kind.ACTIVITY }));
      farBus.lose(true);
      await far.pass(soonMs);
      nearBus.cut = false;
      ids.push(...(await near.publishMany("acme", toUser("ann"), 2)));
      await far.pass(soonMs);
      const of = (feed: string) => reader.messages.filter((m) => m.position?.feed === feed).map(({ id }) => id);
      expect(of("user")).toEqual(ids);
      expect(of("tenant")).toEqual(broadcasts);
      expect(of("activity")).toEqual(activities);
    });
  });

  test("comes over the same stream once the store is back, if the store was away", async () => {
    let away = false;
    const around: Around = async (method, call) => {
      if (away && method === "read") throw fail("STORE_UNAVAILABLE", "cut off");
      return call();
    };
    await withPair(
      async ({ near, far, nearBus, farBus }) => {
        const reader = await far.live(ann);
        nearBus.cut = true;
        const { messageId } = await near.publish("acme", toUser("ann"));
        away = true;
        farBus.lose(false);
        await far.pass(60_000);
        expect(reader.messages).toEqual([]);
        away = false;
        await far.pass(2_000);
        expect(reader.messages.map(({ id }) => id)).toEqual([messageId]);
        expect(reader.all("hello")).toHaveLength(1);
      },
      { around },
    );
  });

  test("costs the store one question for up to a thousand feeds, and only about the feeds concerned", async () => {
    await withPair(async ({ far, farBus }) => {
      await Promise.all(Array.from({ length: 30 }, (_, index) => far.live(userOf("acme", `user-${index}`))));
      const before = far.called("bounds");
      farBus.lose(false, ({ name }) => name === "user/user-7");
      await far.pass(soonMs);
      expect(far.called("bounds") - before).toBe(1);
      farBus.lose(false);
      await far.pass(soonMs);
      expect(far.called("bounds") - before).toBe(2);
    });
  });

  test("is asked for again until the store answers", async () => {
    let fails = false;
    const around: Around = async (method, call) => {
      if (fails && method === "bounds") throw new Error("the store is away");
      return call();
    };
    await withPair(
      async ({ near, far, nearBus, farBus }) => {
        const reader = await far.live(ann);
        nearBus.cut = true;
        await near.publish("acme", toUser("ann"));
        fails = true;
        farBus.lose(false);
        await far.pass(5000);
        expect(reader.messages).toEqual([]);
        fails = false;
        await far.pass(1000);
        expect(reader.messages).toHaveLength(1);
      },
      { around },
    );
  });

  test("causes no event on a stream that has missed nothing", async () => {
    await withPair(async ({ near, far, farBus }) => {
      const reader = await far.live(ann);
      await near.publish("acme", toUser("ann"));
      await near.markAll(ann);
      await far.settle();
      const before = reader.events.length;
      farBus.lose(false);
      await far.pass(soonMs);
      expect(reader.events).toHaveLength(before);
    });
  });
});

describe("GapRepair", () => {
  test("corrects the badge when messages were read on another node", async () => {
    await withPair(async ({ near, far, nearBus, farBus }) => {
      await near.publishMany("acme", toUser("ann"), 3);
      const reader = await far.live(ann);
      nearBus.cut = true;
      await near.markAll(ann);
      farBus.lose(false);
      await far.pass(soonMs);
      expect(reader.badge.total).toBe(0);
      // The change names no message, so that clients list again.
      expect(reader.all("readState")).toMatchObject([{ readIds: [], all: false }]);
    });
  });

  test("announces a read state that was saved, even if the store's answer was lost and the client did not repeat", async () => {
    let [unanswered, away] = [0, false];
    const around: Around = async (method, call) => {
      if (away) throw new Error("the store is away");
      const answer = await call();
      if (method !== "saveReadState" || unanswered === 0) return answer;
      unanswered--;
      away = true;
      throw new Error("no answer");
    };
    await withPair(
      async ({ near, far }) => {
        const readers = [await near.live(ann), await far.live(ann)];
        await near.publishMany("acme", toUser("ann"), 3);
        unanswered = 1;
        await expect(far.markAll(ann)).rejects.toThrow("no answer");
        await far.pass(3000);
        expect(readers.map(({ badge }) => badge.total)).toEqual([3, 3]);
        away = false;
        await far.pass(1000);
        await near.settle();
        expect(readers.map(({ badge }) => badge.total)).toEqual([0, 0]);
        await far.pass(10_000);
        expect(readers.map((reader) => reader.all("readState").length)).toEqual([1, 1]);
      },
      { around },
    );
  });

  test("announces nothing if a save without an answer did not take effect", async () => {
    let lost = 0;
    const around: Around = async (method, call) => {
      if (method === "saveReadState" && lost-- > 0) throw new Error("no answer");
      return call();
    };
    await withPair(
      async ({ near, far }) => {
        const reader = await near.live(ann);
        await near.publishMany("acme", toUser("ann"), 3);
        await far.unread(ann);
        lost = 1;
        await expect(far.markAll(ann)).rejects.toThrow("no answer");
        const before = far.called("readState");
        for (let second = 0; second < 10; second++) await far.pass(1000);
        expect(reader.all("readState")).toEqual([]);
        expect(far.called("readState") - before).toBe(5);
      },
      { around },
    );
  });

  test("removes recalled messages from the totals and from a slow reader's backlog", async () => {
    await withPair(async ({ near, far, nearBus, farBus }) => {
      const reader = await far.live(ann);
      const slow = await far.live(ann);
      slow.pause();
      const [gone = "", stays = ""] = await near.publishMany("acme", toUser("ann"), 2);
      await far.settle();
      const [late = ""] = await near.publishMany("acme", toUser("ann"), 1);
      nearBus.cut = true;
      await near.core.recaller.recall("acme", [gone, late]);
      farBus.lose(true);
      await far.pass(soonMs);
      slow.resume();
      await far.pass(soonMs);
      expect(reader.badge.total).toBe(1);
      expect(reader.all("readState").at(-1)).toMatchObject({ deletedIds: [], unread: { total: 1 } });
      expect(slow.messages.map(({ id }) => id)).toContain(stays);
      expect(slow.messages.map(({ id }) => id)).not.toContain(late);
      expect(slow.badge.total).toBe(1);
    });
  });

  test("ends the streams of a disconnect without a block: those of that token that were open then", async () => {
    await withPair(async ({ near, far, nearBus, farBus }) => {
      const withToken = (tokenId: string) => ({ ...ann, tokenId });
      const disconnect = (tokenId: string, reason = "") => {
        const request = create(DisconnectRequestSchema, { userId: "ann", tokenId, reason });
        return near.core.disconnector.disconnect(serviceOf("acme"), request);
      };
      const [one, two, bob] = [
        await far.live(withToken("t1")),
        await far.live(withToken("t2")),
        await far.live(userOf("acme", "bob")),
      ];
      nearBus.cut = true;
      await disconnect("t1", "you logged out");
      await far.pass(1);
      const later = await far.live(withToken("t1"));
      farBus.lose(false);
      await far.pass(soonMs);
      expect(await one.end()).toBe("DISCONNECTED");
      expect(one.error?.rawMessage).toBe("you logged out");
      expect([two, bob, later].map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
      await disconnect("");
      farBus.lose(false);
      await far.pass(soonMs);
      expect([await two.end(), await later.end()]).toEqual(["DISCONNECTED", "DISCONNECTED"]);
      expect(bob.error).toBeUndefined();
    });
  });

  test("ends the streams of a blocked user", async () => {
    await withPair(async ({ near, far, nearBus, farBus, clock }) => {
      const blocked = await far.live(ann);
      const other = await far.live(userOf("acme", "bob"));
      nearBus.cut = true;
      const request = { userId: "ann", reason: "gone", blockUntil: timestampFromMs(clock.now() + 3_600_000) };
      await near.core.disconnector.disconnect(serviceOf("acme"), create(DisconnectRequestSchema, request));
      await far.pass(1000);
      expect(blocked.error).toBeUndefined();
      farBus.lose(false);
      await far.pass(soonMs);
      expect(await blocked.end()).toBe("CALLER_BLOCKED");
      expect(other.error).toBeUndefined();
    });
  });
});
