import { expect } from "vitest";
import { testWith } from "../../support/require.ts";
import { report } from "../report.ts";
import { size } from "../size.ts";
import { Cluster, clusterTools } from "./cluster.ts";
import { closeCrowd, openCrowd, until } from "./crowd.ts";
import { errorsIn } from "./log.ts";
import type { Member } from "./member.ts";
import { type OnlineTold, watchOnline } from "./online.ts";

const users = size(300, 3_000);
const part = users / 3;
const killedWithinMs = 30_000;
const stoppedWithinMs = 2_000;

testWith(...clusterTools("memory"))(
  `who is online is right again after a node with ${part} of ${users} users is killed, and after one is stopped`,
  async () => {
    const cluster = await Cluster.open({ store: "memory" });
    const [killed, stopped, left] = cluster.members as [Member, Member, Member];
    // At addresses of their own: whoever loses its node finds it nowhere else.
    const pages = await openCrowd(
      cluster.members.map(({ url }) => url),
      "acme",
      users,
    );
    const exactly = (count: number) => (told: OnlineTold) => told.users === count && told.connections === count;
    try {
      expect(await until(pages, ({ client }) => client.state.value === "live", 60_000)).toBe(0);
      const fullMs = await watchOnline([killed, stopped, left], exactly(users), 10_000);
      await killed.kill();
      const killedMs = await watchOnline([stopped, left], exactly(2 * part), killedWithinMs + 10_000);
      const stopping = stopped.stop();
      const stoppedMs = await watchOnline([left], exactly(part), stoppedWithinMs + 10_000);
      report("online", {
        users,
        "count right after opening, ms": Math.round(fullMs),
        "count right after kill -9, ms": Math.round(killedMs),
        "count right after SIGTERM, ms": Math.round(stoppedMs),
      });
      expect.soft(killedMs).toBeLessThanOrEqual(killedWithinMs);
      expect.soft(stoppedMs).toBeLessThanOrEqual(stoppedWithinMs);
      expect.soft(await stopping).toBe(0);
      expect.soft(errorsIn(cluster.log)).toEqual([]);
    } finally {
      closeCrowd(pages);
      await cluster.close();
    }
  },
);
