import { LineProcess, withServer } from "./process.ts";

/** Many pages enter one room within a second; all of them watch how many are online. */
export async function roomJoins(count: number): Promise<string[][]> {
  const rows = [["joins to one room", "took", "online events a page a second", "pages with the right last count"]];
  await withServer(async ({ port }) => {
    const clients = new LineProcess("room-clients.ts", [String(port), String(count)]);
    const { joined, seconds, onlineEvents, right, lasted } = JSON.parse(await clients.line()) as Record<string, number>;
    await clients.stop();
    const perPage = (onlineEvents ?? 0) / count / (lasted ?? 1);
    rows.push([String(joined), `${seconds?.toFixed(2)} s`, perPage.toFixed(2), `${right} of ${count}`]);
  });
  return rows;
}
