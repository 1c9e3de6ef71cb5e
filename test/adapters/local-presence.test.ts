import { LocalPresence } from "../../src/adapters/local-presence.ts";
import { presenceContract } from "../contract/presence.ts";

presenceContract("LocalPresence", async () => {
  const presence = new LocalPresence();
  return { nodes: [presence], close: () => presence.close() };
});
