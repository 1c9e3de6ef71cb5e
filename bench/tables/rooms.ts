import { Child } from "../child.ts";
import type { Joins } from "../drivers/room-clients.ts";
import { plain } from "../figure.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../section.ts";
import { TidingsServer } from "../servers.ts";

/** Many pages enter one room within a second; all of them watch how many are online. */
export async function rooms({ joins: count }: Plan): Promise<Section> {
  await using tidings = await TidingsServer.start();
  await using clients = new Child("drivers/room-clients.ts");
  const joins = await clients.ask<Joins>("join", { port: tidings.port, count });
  const perPage = joins.onlineEvents / count / joins.lasted;
  const rows = [
    ["joins to one room", "took", "online events a page a second", "pages with the right last count"],
    [String(joins.joined), `${plain(joins.seconds)} s`, plain(perPage), `${joins.right} of ${count}`],
  ];
  return { tables: [rows] };
}
