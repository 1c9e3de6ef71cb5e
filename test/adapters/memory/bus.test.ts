import { MemoryBus } from "../../../src/adapters/memory/bus.ts";
import { busContract } from "../../../src/testing/bus.ts";

busContract("MemoryBus", async () => {
  const bus = new MemoryBus();
  return { buses: [bus], close: () => bus.close() };
});
