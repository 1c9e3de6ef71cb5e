import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { RoomMode, SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { MemoryPresence } from "../../src/adapters/memory/presence.ts";
import type { OnlineTotals } from "../../src/ports/presence.ts";
import { Subscription } from "../../src/stream/subscription.ts";
import { seededRandom, ticks } from "../support/clock.ts";
import { type TestCore, toTenant, userOf, withTestCore } from "../support/core.ts";

/** Counts how often the online count is asked for. */
class CountedPresence extends MemoryPresence {
  counts = 0;

  override count(tenant: string | undefined, room?: string): Promise<OnlineTotals> {
    this.counts++;
    return super.count(tenant, room);
  }
}

const modes = [RoomMode.ANY, RoomMode.FIRST, RoomMode.LAST];

/** Opens a stream, and ends it at a random point in one of the ways in which streams end. */
async function openAndEnd(node: TestCore, fraction: () => number): Promise<void> {
  const user = { ...userOf("acme", `user-${Math.floor(fraction() * 20)}`), rooms: ["*"], takeover: ["*"] };
  const way = Math.floor(fraction() * 7);
  const positions = way === 6 ? [{ feed: "user", seq: "999999" }] : [{ feed: "tenant", seq: "0" }];
  // Other streams are in the same rooms, want them for themselves, or take them away meanwhile.
  const rooms = ["a", "b"].map((roomId) => ({
    roomId,
    mode: modes[Math.floor(fraction() * modes.length)] as RoomMode,
  }));
  const request = create(SubscribeRequestSchema, { onlineCount: fraction() < 0.5, positions, rooms });
  const subscription = new Subscription(node.core.context, user, request, () => {});
  if (way === 0) return subscription.close();
  const batches = subscription.batches();
  if (way === 1) {
    subscription.close();
    await batches.next().catch(() => {});
    return;
  }
  if (way === 2) {
    // The transport stops between two batches.
    for (let index = Math.floor(fraction() * 4); index > 0; index--) await batches.next().catch(() => {});
    await batches.return(undefined);
    return subscription.close();
  }
  const read = (async () => {
    for await (const _ of batches) await ticks(Math.floor(fraction() * 3));
  })().catch(() => {});
  await ticks(Math.floor(fraction() * 30));
  if (way === 3) subscription.drain(1, "going");
  else if (way === 4) await subscription.refresh({ ...user, expireTime: node.clock.now() });
  else subscription.close();
  if (way === 4) await node.clock.advance(0);
  await read;
}

test("A thousand streams that end in any way and at any point leave nothing behind", async () => {
  const { fraction } = seededRandom(7);
  const presence = new CountedPresence();
  await withTestCore(
    async (node) => {
      await node.publishMany("acme", toTenant, 150);
      const timers = node.clock.pending;
      for (let round = 0; round < 20; round++) {
        await Promise.all(Array.from({ length: 50 }, () => openAndEnd(node, fraction)));
      }
      await node.settle();
      const { hub, streams, alerts } = node.core.context;
      expect({ hub: hub.size, streams: streams.size, alerts: alerts.open, timers: node.clock.pending }).toEqual({
        hub: 0,
        streams: 0,
        alerts: 0,
        timers,
      });
      for (const room of [undefined, "a", "b"]) {
        expect(await presence.count("acme", room)).toEqual({ users: 0, connections: 0 });
      }
      const before = presence.counts;
      await presence.enter({ id: "x", tenant: "acme", user: "x" });
      await node.pass(5000);
      expect(presence.counts).toBe(before);
    },
    {
      presence,
      async around(_method, call) {
        await ticks(Math.floor(fraction() * 4));
        return call();
      },
    },
  );
}, 60_000);
