import type { Joins } from "../drivers/process/room-clients.ts";
import { formatNumber } from "../measure/figure.ts";
import type { Plan } from "../plan.ts";
import { Child } from "../process/child.ts";
import type { Section } from "../report/section.ts";
import { TidingsServer } from "../servers/servers.ts";

/** Measures many pages that enter one room within a second, and all follow the online count. */
export async function rooms({ joins: count }: Plan): Promise<Section> {
  await using tidings = await TidingsServer.start();
  await using clients = new Child("drivers/process/room-clients.ts");
  const joins = await clients.call<Joins>("join", { port: tidings.port, count });
  const perPage = joins.onlineEvents / count / joins.observedSeconds;
  const rows = [
    ["joins to one room", "duration", "online events per page and second", "pages with the correct last count"],
    [String(joins.joined), `${formatNumber(joins.seconds)} s`, formatNumber(perPage), `${joins.correct} of ${count}`],
  ];
  return { tables: [rows] };
}
