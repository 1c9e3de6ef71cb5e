import { create, toBinary } from "@bufbuild/protobuf";
import { ListUnreadRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Drivers } from "../drivers/drivers.ts";
import type { SubscriberGroup } from "../drivers/subscribers.ts";
import { Figure, formatNumber } from "../measure/figure.ts";
import { reasonOf } from "../measure/invalid.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../report/section.ts";
import type { Target } from "../report/target.ts";
import { TidingsServer } from "../servers/servers.ts";
import { rawRequest } from "../sockets/raw-caller.ts";
import { batchBody, publishTo } from "../workload/message.ts";
import { userToken } from "../workload/tokens.ts";

const batchSize = 1000;
const categories = ["system", "admin", "operation"];
/** Streams that one round opens, one after the other. */
const opens = 20;

interface Row {
  readonly unread: number;
  readonly user: string;
  /** Time from opening a connection until its stream has caught up, in ms. */
  readonly hello: Figure;
  /** Server CPU of that, in ms. */
  readonly helloCpu: Figure;
  /** Times of ListUnread, in ms. */
  readonly p50: Figure;
  readonly p99: Figure;
}

/** Measures what grows with a user's unread messages: opening a stream, and the first page of ListUnread, both with totals. */
export async function inbox(plan: Plan, { callers, subscribers }: Drivers): Promise<Section> {
  await using tidings = await TidingsServer.start({ keep: 1_000_000 });
  const rows = plan.unread.map((unread): Row => {
    const figures = { hello: new Figure(), helloCpu: new Figure(), p50: new Figure(), p99: new Figure() };
    return { unread, user: `unread-${unread}`, ...figures };
  });
  for (const { user, unread } of rows) await publishMany(tidings, user, unread);
  const body = toBinary(ListUnreadRequestSchema, create(ListUnreadRequestSchema, { pageSize: 10 }));
  for (let round = 0; round <= plan.rounds; round++) {
    for (const { user, hello, helloCpu, p50, p99 } of rows) {
      const { port } = tidings;
      try {
        const before = { cpu: await tidings.cpu(), time: performance.now() };
        const groups: SubscriberGroup[] = [];
        for (let open = 0; open < opens; open++) {
          groups.push(await subscribers.open({ protocol: "tidings-ws", port, count: 1, user }));
        }
        const taken = { cpu: (await tidings.cpu()) - before.cpu, ms: performance.now() - before.time };
        for (const group of groups) await group.close();
        if (round > 0) {
          hello.add(taken.ms / opens);
          helloCpu.add(taken.cpu / opens / 1000);
        }
      } catch (error) {
        for (const figure of [hello, helloCpu]) figure.reject(reasonOf(error));
      }
      const list = rawRequest("ListUnread", await userToken(user), body);
      const run = await callers.closedLoop({ port, requests: [list], connections: 1, durationMs: plan.measurementMs });
      if (round === 0) continue;
      if (run.invalid !== undefined) for (const figure of [p50, p99]) figure.reject(run.invalid);
      else {
        p50.add(run.times.percentile(0.5));
        p99.add(run.times.percentile(0.99));
      }
    }
  }
  return { tables: [table(rows)], targets: targets(rows) };
}

async function publishMany(tidings: TidingsServer, user: string, count: number): Promise<void> {
  for (let from = 0; from < count; from += batchSize) {
    const requests = Array.from({ length: Math.min(batchSize, count - from) }, (_, index) => {
      const request = publishTo({ user }, "You were mentioned");
      if (request.message) request.message.category = categories[index % categories.length] as string;
      return request;
    });
    await tidings.call("PublishBatch", batchBody(requests));
  }
}

function table(rows: readonly Row[]) {
  return [
    ["unread messages", "ws stream until caught up, ms", "server CPU of it, ms", "ListUnread, p50, ms", "p99, ms"],
    ...rows.map(({ unread, hello, helloCpu, p50, p99 }) => [
      unread.toLocaleString("en"),
      ...[hello, helloCpu, p50, p99].map((figure) => figure.text(formatNumber)),
    ]),
  ];
}

function targets(rows: readonly Row[]): Target[] {
  const most = rows.at(-1);
  const some = rows.find(({ unread }) => unread === 1000);
  if (!most || !some || most === some) return [];
  const name = `opening a stream with ${formatNumber(most.unread)} unread / with ${formatNumber(some.unread)}`;
  return [{ name, bound: "at most", limit: 1.3, measured: most.hello.median / some.hello.median, unit: " ×" }];
}
