import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { expect } from "vitest";
import { Kind, PushService } from "../../../src/gen.ts";
import type { Filter } from "../../support/fault-pipe.ts";
import { testWith } from "../../support/require.ts";
import { channelOf, RespFrames } from "../../support/resp-frames.ts";
import { percentile } from "../figures.ts";
import { report } from "../report.ts";
import { tokenFor } from "../server-process.ts";
import { Dice, size, times } from "../size.ts";
import { openSubscribers } from "../subscribers.ts";
import { Cluster, clusterTools } from "./cluster.ts";
import { errorsIn } from "./log.ts";

const users = size(20, 100);
const rounds = times(2, 10);
/** Between two publishes, at most: a round takes all phases of a node's heartbeat. */
const apartMs = 20;
const withinMs = 5_000;

/** Takes notices out of what Redis says to one node, while it drops; heartbeats and answers stay. */
class Dropper {
  drops = false;
  dropped = 0;

  readonly filter = (): Filter => {
    const frames = new RespFrames();
    return (chunk) => Buffer.concat(frames.take(chunk).filter((frame) => !this.#isDropped(frame)));
  };

  #isDropped(frame: Buffer): boolean {
    const isNotice = /:bus:\d+$/.test(channelOf(frame) ?? "");
    if (!isNotice || !this.drops) return false;
    this.dropped++;
    return true;
  }
}

testWith(...clusterTools("memory"))(
  `the last message before silence is lost on the bus ${users * rounds} times, and arrives within 5 s`,
  async () => {
    const dropper = new Dropper();
    const dice = new Dice();
    const cluster = await Cluster.open({
      store: "memory",
      nodes: 2,
      fromBus: (node) => (node === 1 ? dropper.filter : undefined),
    });
    const names = Array.from({ length: users }, (_, index) => `user-${index}`);
    const [near, far] = cluster.members.map(({ url }) => url) as [string, string];
    const subscribers = await openSubscribers(far, "acme", names, 1);
    try {
      const { publish } = createClient(PushService, createConnectTransport({ baseUrl: near, httpVersion: "1.1" }));
      const headers = { authorization: `Bearer ${await tokenFor({ sub: "load", tenant: "acme", role: "service" })}` };
      const tookMs: number[] = [];
      /** To each user a message; each is the last one of its feed. */
      const send = async (title: string) => {
        const answeredAt = new Map<string, number>();
        for (const name of names) {
          await sleep(dice.between(0, apartMs));
          const request = { audience: { to: { case: "userId" as const, value: name } } };
          await publish({ ...request, message: { kind: Kind.NOTIFICATION, title } }, { headers });
          answeredAt.set(name, performance.now());
        }
        for (const subscriber of subscribers) {
          const arrived = () => subscriber.view.entries.at(-1)?.key === title;
          await subscriber.until(arrived, 2 * withinMs);
          expect(arrived(), `${subscriber.name} has ${title}`).toBe(true);
          tookMs.push((subscriber.view.times?.at(-1) ?? 0) - (answeredAt.get(subscriber.user) ?? 0));
        }
      };
      await send("before");
      const undisturbedMs = percentile(tookMs.splice(0), 0.99);
      dropper.drops = true;
      for (let round = 0; round < rounds; round++) await send(`round ${round}`);
      const mostMs = Math.max(...tookMs);
      report("bus-drop", {
        "notices dropped": dropper.dropped,
        "messages that were the last": tookMs.length,
        "delivery p99 ms, nothing dropped": Math.round(undisturbedMs),
        "delivery p50 ms": Math.round(percentile(tookMs, 0.5)),
        "delivery p99 ms": Math.round(percentile(tookMs, 0.99)),
        "delivery at most ms": Math.round(mostMs),
      });
      // Each message was published alone, so each was a notice of its own.
      expect.soft(dropper.dropped).toBeGreaterThanOrEqual(users * rounds);
      expect.soft(mostMs).toBeLessThanOrEqual(withinMs);
      expect.soft(subscribers.flatMap(({ upsets }) => upsets)).toEqual([]);
      for (const { view } of subscribers) expect.soft(view.entries).toHaveLength(rounds + 1);
      expect.soft(errorsIn(cluster.log)).toEqual([]);
    } finally {
      for (const { client } of subscribers) client.close();
      await cluster.close();
    }
  },
);
