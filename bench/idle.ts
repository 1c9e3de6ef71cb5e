import { LineProcess, withServer } from "./process.ts";

/** Memory of the server per idle subscription, each of a user of its own. */
export async function idleMemory(count: number): Promise<string[][]> {
  const rows = [["idle subscriptions", "server RSS each", "count"]];
  for (const [kind, name] of [
    ["connect", "Connect over HTTP/1.1"],
    ["ws", "WebSocket bridge, JSON"],
  ] as const) {
    await withServer(async ({ port, rss }) => {
      // The first ones pay for code, pools and a young generation that all share.
      const first = new LineProcess("idle-clients.ts", [kind, String(port), String(Math.ceil(count / 5))]);
      await first.line();
      const before = await rss();
      const clients = new LineProcess("idle-clients.ts", [kind, String(port), String(count)]);
      await clients.line();
      const each = ((await rss()) - before) / count;
      rows.push([name, `${(each / 1024).toFixed(1)} KB`, String(count)]);
      await clients.stop();
      await first.stop();
    });
  }
  return rows;
}
