import type { SubscriberGroup, Subscribers } from "../drivers/subscribers.ts";
import { measureDeliveries, newDeliveryFigures } from "../measure/deliveries.ts";
import { formatNumber } from "../measure/figure.ts";
import type { Plan } from "../plan.ts";
import type { Table } from "../report/table.ts";
import type { TidingsServer } from "../servers/servers.ts";
import { batchBody, publishBody, publishTo } from "../workload/message.ts";

const batchSize = 100;
/** The most users that one publish can name. */
const maxUsers = 10_000;

/** A server with subscribers user-0, user-1 and so on, each of which has received `sent` messages. */
interface RunningServer {
  readonly tidings: TidingsServer;
  readonly group: SubscriberGroup;
  readonly sent: number;
}

/** Measures batches of messages to single users, spread over more and more users, of whom only the subscribers are online. */
export async function measureFeeds(
  plan: Plan,
  subscribers: Subscribers,
  { tidings, group, sent }: RunningServer,
): Promise<Table> {
  const expected = group.shares.map(({ count }) => count * sent);
  let next = 0;
  const expectMessage = (user: number): void => {
    const share = group.shares.findIndex(({ first, count }) => user >= first && user < first + count);
    if (share >= 0) expected[share] = (expected[share] as number) + 1;
  };
  // Create all feeds first, because the first message of a feed costs more.
  const most = Math.max(...plan.feeds);
  for (let from = 0; from < most; from += maxUsers) {
    const users = Array.from({ length: Math.min(maxUsers, most - from) }, (_, index) => from + index);
    for (const user of users) expectMessage(user);
    const request = publishTo({ users: users.map((user) => `user-${user}`) });
    await Promise.all([tidings.call("Publish", publishBody(request)), group.untilTotals(expected)]);
  }
  const rows: string[][] = [];
  for (const feeds of plan.feeds) {
    const figures = newDeliveryFigures();
    const iterate = async (): Promise<number> => {
      const users = Array.from({ length: batchSize }, () => next++ % feeds);
      for (const user of users) expectMessage(user);
      const body = batchBody(users.map((user) => publishTo({ user: `user-${user}` })));
      await Promise.all([tidings.call("PublishBatch", body), group.untilTotals(expected)]);
      return batchSize;
    };
    const workload = { cpu: () => tidings.cpu(), iterate, subscribers, durationMs: plan.measurementMs };
    for (let round = 0; round < plan.rounds; round++) await measureDeliveries(workload, figures);
    const online = Math.min(1, group.count / feeds);
    rows.push([
      feeds.toLocaleString("en"),
      `${formatNumber(online * 100)} %`,
      figures.cost.text(formatNumber),
      figures.rate.text(formatNumber),
    ]);
  }
  return [
    ["messages to single users, durable: feeds", "users online", "server CPU per message, µs", "messages a second"],
    ...rows,
  ];
}
