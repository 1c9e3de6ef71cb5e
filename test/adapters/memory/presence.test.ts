import { MemoryPresence } from "../../../src/adapters/memory/presence.ts";
import { presenceContract } from "../../../src/testing/presence.ts";

presenceContract("MemoryPresence", async () => {
  const presence = new MemoryPresence();
  return { nodes: [presence], close: () => presence.close() };
});
