import { create, toBinary } from "@bufbuild/protobuf";
import { ListUnreadRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Drivers } from "../drivers/drivers.ts";
import { Figure, formatNumber } from "../measure/figure.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../report/section.ts";
import { TidingsServer } from "../servers/servers.ts";
import { rawRequest } from "../sockets/raw-caller.ts";
import { batchBody, publishTo } from "../workload/message.ts";
import { userToken } from "../workload/tokens.ts";

const unread = 10_000;
const batchSize = 1000;
const categories = ["system", "admin", "operation"];

/** Measures the first page of ListUnread, with totals, for a user with 10,000 unread messages. */
export async function inbox(plan: Plan, { callers }: Drivers): Promise<Section> {
  await using tidings = await TidingsServer.start();
  const requests = Array.from({ length: batchSize }, (_, index) => {
    const request = publishTo({ user: "ada" }, "You were mentioned");
    if (request.message) request.message.category = categories[index % categories.length] as string;
    return request;
  });
  const batch = batchBody(requests);
  for (let count = 0; count < unread; count += batchSize) await tidings.call("PublishBatch", batch);
  const body = toBinary(ListUnreadRequestSchema, create(ListUnreadRequestSchema, { pageSize: 10 }));
  const list = rawRequest("ListUnread", await userToken("ada"), body);
  const [p50, p99] = [new Figure(), new Figure()];
  for (let round = 0; round <= plan.rounds; round++) {
    const { port } = tidings;
    const run = await callers.closedLoop({ port, requests: [list], connections: 1, durationMs: plan.measurementMs });
    if (round === 0) continue;
    if (run.invalid !== undefined) for (const figure of [p50, p99]) figure.reject(run.invalid);
    else {
      p50.add(run.times.percentile(0.5));
      p99.add(run.times.percentile(0.99));
    }
  }
  const rows = [
    ["ListUnread, 10,000 unread", "p50, ms", "p99, ms"],
    ["first page and totals", p50.text(formatNumber), p99.text(formatNumber)],
  ];
  return { tables: [rows] };
}
