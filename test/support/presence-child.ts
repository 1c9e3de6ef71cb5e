/** A node with open connections, to be killed. Arguments: URL, prefix, lease in ms, number of connections. */
import { RedisPresence } from "../../src/adapters/redis/presence.ts";

const [url = "", prefix = "", leaseMs = "", count = ""] = process.argv.slice(2);
const presence = new RedisPresence({ url, prefix, leaseMs: Number(leaseMs) });
const connections = Array.from({ length: Number(count) }, (_, index) => ({
  id: `child/${index}`,
  tenant: "t",
  user: `user-${index}`,
}));
while (!presence.isConnected) await new Promise((resolve) => setTimeout(resolve, 5));
await Promise.all(connections.map((connection) => presence.enter(connection)));
const [first] = connections;
if (first) await presence.join({ connection: first, room: "desk", mode: "first", instance: "child" });
process.on("SIGTERM", async () => {
  await presence.close();
  process.exit(0);
});
process.stdout.write("in\n");
