import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { fail } from "../../src/errors.ts";
import { unknownChange } from "../../src/inbox/read-change.ts";
import { startTestCore, type TestCore, toUser, userOf, withTestCore } from "../support/core.ts";

const ann = userOf("acme");
let node: TestCore;
beforeEach(async () => {
  node = await startTestCore();
});
afterEach(() => node.close());

describe("A silent stream", () => {
  test("sends a heartbeat with positions, and a busy one sends none", async () => {
    const reader = await node.live(ann, { categories: ["a"] });
    await node.pass(24_999);
    expect(reader.all("heartbeat")).toEqual([]);
    await node.publish("acme", toUser("ann"), { category: "b", kind: Kind.EVENT, ttl: durationFromMs(60_000) });
    await node.pass(1);
    expect(reader.all("heartbeat")).toHaveLength(1);
    expect(reader.all("heartbeat")[0]?.positions[0]).toMatchObject({ feed: "user", seq: "1" });
    for (let index = 0; index < 10; index++) {
      await node.pass(20_000);
      await node.publish("acme", toUser("ann"), { category: "a" });
    }
    await node.settle();
    expect(reader.all("heartbeat")).toHaveLength(1);
  });
});

describe("A stream ends", () => {
  test("when its token expires", async () => {
    const reader = await node.live(userOf("acme", "ann", node.clock.now() + 60_000));
    await node.pass(59_999);
    expect(reader.error).toBeUndefined();
    await node.pass(1);
    expect(await reader.end()).toBe("TOKEN_EXPIRED");
  });

  test("when its fresh token expires, if it got one", async () => {
    const reader = await node.live(userOf("acme", "ann", node.clock.now() + 60_000));
    await reader.subscription.refresh(userOf("acme", "ann", node.clock.now() + 120_000));
    await node.pass(119_999);
    expect(reader.error).toBeUndefined();
    await node.pass(1);
    expect(await reader.end()).toBe("TOKEN_EXPIRED");
  });

  test("when its reader takes nothing for too long, and cuts its transport", async () => {
    let cuts = 0;
    const reader = node.subscribe(ann, {}, { cut: () => cuts++ });
    await reader.first("caughtUp");
    reader.pause();
    await node.publish("acme", toUser("ann"));
    await node.pass(29_999);
    expect(cuts).toBe(0);
    await node.pass(1);
    expect(cuts).toBe(1);
    reader.resume();
    expect(await reader.end()).toBe("READER_TOO_SLOW");
  });

  test("only when its reader makes no progress, not when it is slow", async () => {
    const reader = await node.live(ann);
    reader.pause();
    for (let index = 0; index < 5; index++) {
      await node.publish("acme", toUser("ann"));
      await node.pass(29_000);
      reader.step();
      await node.settle();
    }
    reader.resume();
    await node.settle();
    expect(reader.error).toBeUndefined();
  });

  test("with the first error that it is given", async () => {
    const reader = await node.live(ann);
    reader.subscription.end(fail("TOKEN_INVALID", "blocked"));
    reader.subscription.end(fail("INTERNAL", "too late"));
    expect(await reader.end()).toBe("TOKEN_INVALID");
  });

  test("when the node drains, with go_away and SERVER_DRAINING, with delays spread over `drainMs`, even if it opens late", async () => {
    const readers = [];
    for (let index = 0; index < 40; index++) readers.push(await node.live(userOf("acme", `user-${index}`)));
    const drained = node.core.drain();
    const late = node.subscribe(ann);
    for (const reader of [...readers, late]) {
      expect(await reader.end()).toBe("SERVER_DRAINING");
      expect(reader.events.at(-1)?.case).toBe("goAway");
      expect(reader.all("goAway")).toHaveLength(1);
    }
    await drained;
    expect(late.events[0]?.case).toBe("hello");
    const delays = readers.map((reader) => {
      const { seconds = 0n, nanos = 0 } = reader.all("goAway")[0]?.reconnectAfter ?? {};
      return Number(seconds) * 1000 + nanos / 1e6;
    });
    expect(Math.max(...delays)).toBeLessThanOrEqual(5000);
    expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(2500);
    expect(new Set(delays).size).toBeGreaterThan(30);
  });

  test("not while its store is away: it sends heartbeats, and what is due when the store is back", async () => {
    let away = false;
    await withTestCore(
      async (node) => {
        const reader = await node.live(ann);
        await node.publish("acme", toUser("ann"));
        await reader.first("message");
        away = true;
        reader.subscription.readChanged({ ...unknownChange, type: "read", tenant: "acme", user: "ann" });
        await node.pass(60_000);
        expect(reader.error).toBeUndefined();
        expect(reader.all("heartbeat").length).toBeGreaterThan(0);
        expect(reader.all("readState")).toEqual([]);
        away = false;
        await node.pass(2_000);
        expect(reader.all("readState")).toHaveLength(1);
      },
      {
        async around(_method, call) {
          if (away) throw fail("STORE_UNAVAILABLE", "cut off");
          return call();
        },
      },
    );
  });

  test("with the store's error when that is not STORE_UNAVAILABLE", async () => {
    let broken = false;
    await withTestCore(
      async (node) => {
        const reader = await node.live(ann);
        broken = true;
        await node.core.context.inbox.totals(ann).catch(() => {});
        reader.subscription.readChanged({
          type: "read",
          tenant: "acme",
          user: "ann",
          readIds: [],
          unreadIds: [],
          deletedIds: [],
          all: true,
        });
        expect(await reader.end()).toBe("INTERNAL");
        expect(node.core.context.hub.size).toBe(0);
      },
      {
        async around(_method, call) {
          if (broken) throw fail("INTERNAL", "no disk");
          return call();
        },
      },
    );
  });
});

test("A node without streams drains at once", async () => {
  await node.core.drain();
});

describe("The streams of one user", () => {
  test("are limited in number, and one that closes frees a slot", async () => {
    await withTestCore(
      async (node) => {
        const [first] = [await node.live(ann), await node.live(ann)];
        expect(() => node.subscribe(ann)).toThrow("close some");
        await node.live(userOf("acme", "bob"));
        await node.live(userOf("globex", "ann"));
        await first.close();
        await node.live(ann);
        expect(await node.core.context.presence.count("acme")).toEqual({ users: 2, connections: 3 });
      },
      { maxStreamsPerUser: 2 },
    );
  });
});

describe("The online count", () => {
  test("is sent to streams that asked for it, at most once a second, and the last one is right", async () => {
    const watching = await node.live(ann, { onlineCount: true });
    const other = await node.live(userOf("globex", "ann"), { onlineCount: true });
    const silent = await node.live(userOf("acme", "bob"));
    await node.pass(1000);
    const before = watching.all("online").length;
    const readers = [];
    for (let index = 0; index < 30; index++) {
      readers.push(await node.live(userOf("acme", `user-${index % 10}`)));
      await node.pass(100);
    }
    for (const reader of readers.slice(5)) await reader.close();
    await node.pass(1000);
    expect(watching.all("online").length - before).toBeLessThanOrEqual(5);
    expect(watching.all("online").at(-1)).toMatchObject({ users: 7, connections: 7 });
    expect([other.all("online"), silent.all("online")]).toEqual([[], []]);
  });

  test("is not sent when it is the same", async () => {
    const reader = await node.live(ann, { onlineCount: true });
    const bob = await node.live(userOf("acme", "bob"));
    await node.pass(1000);
    const before = reader.all("online").length;
    expect(reader.all("online").at(-1)).toMatchObject({ users: 2, connections: 2 });
    const carl = await node.live(userOf("acme", "carl"));
    await node.settle();
    await carl.close();
    await bob.close();
    await node.live(userOf("acme", "bob"));
    await node.live(userOf("acme", "carl"));
    await node.pass(5000);
    expect(reader.all("online").slice(before)).toMatchObject([{ users: 3, connections: 3 }]);
  });
});
