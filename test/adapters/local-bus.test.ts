import { LocalBus } from "../../src/adapters/local-bus.ts";
import { busContract } from "../contract/bus.ts";

busContract("LocalBus", async () => {
  const bus = new LocalBus();
  return { buses: [bus], close: () => bus.close() };
});
