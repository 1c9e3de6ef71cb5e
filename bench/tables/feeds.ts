import { Figure, plain } from "../figure.ts";
import { batchBody, publishBody, publishTo } from "../message.ts";
import type { Plan } from "../plan.ts";
import type { TidingsServer } from "../servers.ts";
import type { SubscriberGroup, Subscribers } from "../subscribers.ts";
import type { Table } from "../table.ts";
import { measureTurns } from "../turns.ts";

const batchSize = 100;
/** Users in one publish, at most. */
const maxUsers = 10_000;

/** A server whose subscribers are user-0, user-1 and so on; each has got so many messages. */
interface Running {
  readonly tidings: TidingsServer;
  readonly group: SubscriberGroup;
  readonly sent: number;
}

/** Batches of messages, each to one user, spread over the own feeds of so many users; of these, the subscribers are online. */
export async function measureFeeds(
  plan: Plan,
  subscribers: Subscribers,
  { tidings, group, sent }: Running,
): Promise<Table> {
  const counts = group.shares.map(({ count }) => count * sent);
  let next = 0;
  const expect = (user: number, messages: number): void => {
    const share = group.shares.findIndex(({ first, count }) => user >= first && user < first + count);
    if (share >= 0) counts[share] = (counts[share] as number) + messages;
  };
  // All feeds have begun before the first is measured.
  const most = Math.max(...plan.feeds);
  for (let from = 0; from < most; from += maxUsers) {
    const users = Array.from({ length: Math.min(maxUsers, most - from) }, (_, index) => from + index);
    for (const user of users) expect(user, 1);
    const request = publishTo({ users: users.map((user) => `user-${user}`) });
    await Promise.all([tidings.call("Publish", publishBody(request)), group.untilTotals(counts)]);
  }
  const rows: string[][] = [];
  for (const feeds of plan.feeds) {
    const figures = { cost: new Figure(), rate: new Figure() };
    const turn = async (): Promise<number> => {
      const users = Array.from({ length: batchSize }, () => next++ % feeds);
      for (const user of users) expect(user, 1);
      const body = batchBody(users.map((user) => publishTo({ user: `user-${user}` })));
      await Promise.all([tidings.call("PublishBatch", body), group.untilTotals(counts)]);
      return batchSize;
    };
    for (let round = 0; round < plan.rounds; round++) {
      await measureTurns({ cpu: () => tidings.cpu(), turn, subscribers, sliceMs: plan.sliceMs }, figures);
    }
    const online = Math.min(1, group.count / feeds);
    rows.push([
      feeds.toLocaleString("en"),
      `${plain(online * 100)} %`,
      figures.cost.text(plain),
      figures.rate.text(plain),
    ]);
  }
  return [
    [
      "messages to single users, durable: feeds",
      "delivered at once",
      "server CPU per message, µs",
      "messages a second",
    ],
    ...rows,
  ];
}
