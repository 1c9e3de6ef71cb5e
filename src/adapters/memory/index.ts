/** Bus and presence of a single process: `import { memoryBus, memoryPresence } from "tidings/memory"`. */
import type { Bus } from "../../ports/bus.ts";
import type { Presence } from "../../ports/presence.ts";
import { MemoryBus } from "./bus.ts";
import { MemoryPresence } from "./presence.ts";

/** Creates a bus that reaches its own process only, at once and without loss. */
export function memoryBus(): Bus {
  return new MemoryBus();
}

/** Creates a presence that knows the connections and rooms of its own process only. */
export function memoryPresence(): Presence {
  return new MemoryPresence();
}
