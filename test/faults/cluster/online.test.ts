import { expect } from "vitest";
import { testWith } from "../../support/require.ts";
import { report } from "../report.ts";
import { size } from "../size.ts";
import { Cluster, clusterTools } from "./cluster.ts";
import type { ClusterNode } from "./cluster-node.ts";
import { errorsIn } from "./log-errors.ts";
import { type OnlineCount, waitForOnlineCount } from "./online-count.ts";
import { closePages, openPages, waitForPages } from "./pages.ts";

const users = size(300, 3_000);
const part = users / 3;
const killedWithinMs = 30_000;
const stoppedWithinMs = 2_000;

testWith(...clusterTools("memory"))(
  `The online count is correct again after a node with ${part} of ${users} users is killed, and after another one is stopped`,
  async () => {
    const cluster = await Cluster.open({ store: "memory" });
    const [killed, stopped, left] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode];
    // Pages use the URLs of the nodes, not of the load balancer, so that they cannot reconnect to another node.
    const pages = await openPages(
      cluster.nodes.map(({ url }) => url),
      "acme",
      users,
    );
    const exactly = (expected: number) => (count: OnlineCount) =>
      count.users === expected && count.connections === expected;
    try {
      expect(await waitForPages(pages, ({ client }) => client.state.value === "live", 60_000)).toBe(0);
      const openedMs = await waitForOnlineCount([killed, stopped, left], exactly(users), 10_000);
      await killed.kill();
      const killedMs = await waitForOnlineCount([stopped, left], exactly(2 * part), killedWithinMs + 10_000);
      const stopping = stopped.stop();
      const stoppedMs = await waitForOnlineCount([left], exactly(part), stoppedWithinMs + 10_000);
      report("online", {
        users,
        "count correct after the last page opened, ms": Math.round(openedMs),
        "count correct after SIGKILL, ms": Math.round(killedMs),
        "count correct after SIGTERM, ms": Math.round(stoppedMs),
      });
      expect.soft(killedMs).toBeLessThanOrEqual(killedWithinMs);
      expect.soft(stoppedMs).toBeLessThanOrEqual(stoppedWithinMs);
      expect.soft(await stopping).toBe(0);
      expect.soft(errorsIn(cluster.log)).toEqual([]);
    } finally {
      closePages(pages);
      await cluster.close();
    }
  },
);
