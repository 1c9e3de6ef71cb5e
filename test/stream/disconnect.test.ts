import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DisconnectRequestSchema } from "../../gen/tidings/v1/admin_service_pb.ts";
import { RoomMode } from "../../gen/tidings/v1/push_service_pb.ts";
import { ticks } from "../support/clock.ts";
import { reasonFrom, serviceOf, startTestCore, type TestCore, toUser, userOf, withTestCore } from "../support/core.ts";
import { joins, member } from "../support/rooms.ts";

const ann = userOf("acme");
const withToken = (tokenId: string) => ({ ...ann, tokenId });
let node: TestCore;
beforeEach(async () => {
  node = await startTestCore();
});
afterEach(() => node.close());

/** As AdminService does for a service of acme. */
function disconnect(request: MessageInitShape<typeof DisconnectRequestSchema>, of = node, tenant?: string) {
  const whole = create(DisconnectRequestSchema, { userId: "ann", ...request });
  return of.core.disconnector.disconnect(serviceOf(tenant ?? "acme"), whole);
}

const inAMinute = (of = node) => ({ blockUntil: timestampFromMs(of.clock.now() + 60_000) });

describe("Disconnect", () => {
  test("ends all streams of a user with the reason, and no others", async () => {
    const ends = [await node.live(withToken("t1")), await node.live(ann, joins(RoomMode.ANY, "dm/ann/bob"))];
    const stay = [
      await node.live(userOf("acme", "bob")),
      await node.live(userOf("globex")),
      await node.live(serviceOf("acme")),
    ];
    expect(await disconnect({ reason: "you logged out" })).toBe(2);
    for (const reader of ends) {
      expect(await reader.end()).toBe("DISCONNECTED");
      expect(reader.error?.rawMessage).toBe("you logged out");
    }
    await node.settle();
    for (const reader of stay) expect(reader.error).toBeUndefined();
    expect(await node.core.context.presence.count("acme", "dm/ann/bob")).toEqual({ users: 0, connections: 0 });
    // The request has no block, so the user may come back.
    await node.live(ann);
  });

  test("of one token ends the streams of that token only, also after a stream got a fresh one", async () => {
    const [one, two, moved] = [
      await node.live(withToken("t1")),
      await node.live(withToken("t2")),
      await node.live(withToken("t1")),
    ];
    await moved.subscription.refresh(withToken("t3"));
    expect(await disconnect({ tokenId: "t1" })).toBe(1);
    expect(await one.end()).toBe("DISCONNECTED");
    await node.settle();
    expect([two.error, moved.error]).toEqual([undefined, undefined]);
    expect(await disconnect({ tokenId: "t3" })).toBe(1);
    expect(await moved.end()).toBe("DISCONNECTED");
    expect(await disconnect({ tokenId: "t9" })).toBe(0);
  });

  test("ends a paused stream before anything more is sent", async () => {
    const reader = await node.live(ann);
    reader.pause();
    await node.publish("acme", toUser("ann"));
    await node.settle();
    await node.publishMany("acme", toUser("ann"), 50);
    await disconnect({});
    reader.resume();
    expect(await reader.end()).toBe("DISCONNECTED");
    expect(reader.messages.length).toBeLessThanOrEqual(1);
  });

  test("ends the streams that hear it even if the store does not answer, and rejects, for others may have missed it", async () => {
    let away = false;
    await withTestCore(
      async (node) => {
        const reader = await node.live(ann);
        away = true;
        await expect(disconnect({}, node)).rejects.toThrow("away");
        expect(await reader.end()).toBe("DISCONNECTED");
        away = false;
        const stays = await node.live(ann);
        away = true;
        await expect(disconnect(inAMinute(node), node)).rejects.toThrow("away");
        await node.settle();
        expect(stays.error).toBeUndefined();
      },
      {
        async around(_method, call) {
          if (away) throw new Error("away");
          return call();
        },
      },
    );
  });

  test("applies to the token's tenant, or to the named one for a token without a tenant", async () => {
    const reader = await node.live(ann);
    const free = create(DisconnectRequestSchema, { userId: "ann" });
    expect(await reasonFrom(node.core.disconnector.disconnect(serviceOf(), free))).toBe("TENANT_REQUIRED");
    expect(await reasonFrom(disconnect({ tenantId: "globex" }))).toBe("TENANT_FORBIDDEN");
    expect(await disconnect({}, node, "globex")).toBe(0);
    await node.settle();
    expect(reader.error).toBeUndefined();
    const named = create(DisconnectRequestSchema, { userId: "ann", tenantId: "acme" });
    expect(await node.core.disconnector.disconnect(serviceOf(), named)).toBe(1);
    expect(await reader.end()).toBe("DISCONNECTED");
  });
});

describe("A block", () => {
  test("refuses streams until it expires or is lifted", async () => {
    await disconnect(inAMinute());
    expect(await node.subscribe(ann).end()).toBe("CALLER_BLOCKED");
    expect(node.core.context.hub.size).toBe(0);
    await disconnect({ blockUntil: timestampFromMs(node.clock.now() - 1) });
    const reader = await node.live(ann);
    await disconnect({ ...inAMinute(), tokenId: "t1" });
    expect(await node.subscribe(withToken("t1")).end()).toBe("CALLER_BLOCKED");
    await node.pass(0);
    expect(reader.error).toBeUndefined();
    await node.pass(60_000);
    await node.live(withToken("t1"));
  });

  test("ends a stream at whatever point of its opening the block comes", async () => {
    for (let wait = 0; wait < 30; wait += 2) {
      await withTestCore(
        async (node) => {
          // As when the token was checked before the block came.
          await node.core.context.blockList.check(member("ann", ["a"]));
          const reader = node.subscribe(member("ann", ["a"]), joins(RoomMode.ANY, "a"));
          await ticks(wait);
          await disconnect(inAMinute(node), node);
          const reason = await reader.end();
          expect(["DISCONNECTED", "CALLER_BLOCKED"]).toContain(reason);
          await node.settle();
          expect(node.core.context.hub.size).toBe(0);
          expect(await node.core.context.presence.count("acme", "a")).toEqual({ users: 0, connections: 0 });
          expect(await node.core.context.presence.count("acme")).toEqual({ users: 0, connections: 0 });
        },
        {
          async around(_method, call) {
            await ticks(1);
            const answer = await call();
            await ticks(1);
            return answer;
          },
        },
      );
    }
  });

  test("is in force when its request is answered", async () => {
    await withTestCore(
      async (node) => {
        await node.live(ann);
        await disconnect(inAMinute(node), node);
        for (let index = 0; index < 5; index++) expect(await node.subscribe(ann).end()).toBe("CALLER_BLOCKED");
      },
      {
        async around(_method, call) {
          await ticks(2);
          return call();
        },
      },
    );
  });
});
