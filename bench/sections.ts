import type { Drivers } from "./drivers/drivers.ts";
import type { Plan } from "./plan.ts";
import type { Section } from "./report/section.ts";
import { broadcast } from "./tables/broadcast.ts";
import { connect } from "./tables/connect.ts";
import { fanOut } from "./tables/fan-out.ts";
import { idle } from "./tables/idle.ts";
import { inbox } from "./tables/inbox.ts";
import { latency } from "./tables/latency.ts";
import { memory } from "./tables/memory.ts";
import { nodes } from "./tables/nodes.ts";
import { publish } from "./tables/publish.ts";
import { publishCpu } from "./tables/publish-cpu.ts";
import { resume } from "./tables/resume.ts";
import { rooms } from "./tables/rooms.ts";
import { scale } from "./tables/scale.ts";
import { single } from "./tables/single.ts";
import { slowReader } from "./tables/slow-reader.ts";
import { workers } from "./tables/workers.ts";

/** All parts of the benchmark by name, in the order in which they run. */
export const sections: Readonly<Record<string, (plan: Plan, drivers: Drivers) => Promise<Section>>> = {
  "fan-out": fanOut,
  scale,
  single,
  publish,
  "publish-cpu": publishCpu,
  connect,
  latency,
  nodes,
  resume,
  "slow-reader": slowReader,
  idle,
  memory,
  inbox,
  rooms,
  broadcast,
  workers,
};
