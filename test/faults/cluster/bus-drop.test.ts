import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { expect } from "vitest";
import { Kind, PushService } from "../../../src/gen.ts";
import type { Filter } from "../../support/fault-pipe.ts";
import { testWith } from "../../support/require.ts";
import { channelOf, RespFrames } from "../../support/resp-frames.ts";
import { percentile } from "../figures.ts";
import { SeededRandom } from "../random.ts";
import { report } from "../report.ts";
import { tokenFor } from "../server-process.ts";
import { size, times } from "../size.ts";
import { openSubscribers } from "../subscribers.ts";
import { Cluster, clusterTools } from "./cluster.ts";
import { errorsIn } from "./log-errors.ts";

const users = size(20, 100);
const rounds = times(2, 10);
/** The longest time between two publishes. A round then covers all phases of a node's heartbeat. */
const maxIntervalMs = 20;
const deliveredWithinMs = 5_000;

/** Drops the notices that Redis sends to one node, while it is active. Heartbeats and responses pass. */
class NoticeDropper {
  isActive = false;
  dropped = 0;

  readonly filter = (): Filter => {
    const frames = new RespFrames();
    return (chunk) => Buffer.concat(frames.take(chunk).filter((frame) => !this.#isDropped(frame)));
  };

  #isDropped(frame: Buffer): boolean {
    const isNotice = /:bus:\d+$/.test(channelOf(frame) ?? "");
    if (!isNotice || !this.isActive) return false;
    this.dropped++;
    return true;
  }
}

testWith(...clusterTools("memory"))(
  `A notice that the bus loses, with no later notice in its feed, delays its message by 5 s at most, ${users * rounds} times`,
  async () => {
    const dropper = new NoticeDropper();
    const random = new SeededRandom();
    const cluster = await Cluster.open({
      store: "memory",
      nodes: 2,
      fromBus: (node) => (node === 1 ? dropper.filter : undefined),
    });
    const names = Array.from({ length: users }, (_, index) => `user-${index}`);
    const [publisherUrl, subscriberUrl] = cluster.nodes.map(({ url }) => url) as [string, string];
    const subscribers = await openSubscribers(subscriberUrl, "acme", names, 1);
    try {
      const transport = createConnectTransport({ baseUrl: publisherUrl, httpVersion: "1.1" });
      const { publish } = createClient(PushService, transport);
      const headers = { authorization: `Bearer ${await tokenFor({ sub: "load", tenant: "acme", role: "service" })}` };
      const tookMs: number[] = [];
      /** Publishes one message to each user and waits for it, so that no later notice reveals a lost one. */
      const send = async (title: string) => {
        const answeredAt = new Map<string, number>();
        for (const name of names) {
          await sleep(random.between(0, maxIntervalMs));
          const request = { audience: { to: { case: "userId" as const, value: name } } };
          await publish({ ...request, message: { kind: Kind.NOTIFICATION, title } }, { headers });
          answeredAt.set(name, performance.now());
        }
        for (const subscriber of subscribers) {
          const arrived = () => subscriber.view.entries.at(-1)?.key === title;
          await subscriber.until(arrived, 2 * deliveredWithinMs);
          expect(arrived(), `${subscriber.name} has ${title}`).toBe(true);
          tookMs.push((subscriber.view.times?.at(-1) ?? 0) - (answeredAt.get(subscriber.user) ?? 0));
        }
      };
      await send("before");
      const normalMs = percentile(tookMs.splice(0), 0.99);
      dropper.isActive = true;
      for (let round = 0; round < rounds; round++) await send(`round ${round}`);
      const maxMs = Math.max(...tookMs);
      report("bus-drop", {
        "notices dropped": dropper.dropped,
        "messages delivered": tookMs.length,
        "delivery without drops, p99, ms": Math.round(normalMs),
        "delivery, p50, ms": Math.round(percentile(tookMs, 0.5)),
        "delivery, p99, ms": Math.round(percentile(tookMs, 0.99)),
        "delivery, max, ms": Math.round(maxMs),
      });
      // Each message was published alone, so each has a notice of its own.
      expect.soft(dropper.dropped).toBeGreaterThanOrEqual(users * rounds);
      expect.soft(maxMs).toBeLessThanOrEqual(deliveredWithinMs);
      expect.soft(subscribers.flatMap(({ errors }) => errors)).toEqual([]);
      for (const { view } of subscribers) expect.soft(view.entries).toHaveLength(rounds + 1);
      expect.soft(errorsIn(cluster.log)).toEqual([]);
    } finally {
      for (const { client } of subscribers) client.close();
      await cluster.close();
    }
  },
);
