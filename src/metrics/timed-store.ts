import { portMethods } from "../ports/methods.ts";
import { type Metrics, unlabelled } from "../ports/metrics.ts";
import type { Store } from "../ports/store.ts";

type Method = Exclude<(typeof portMethods.store)[number], "open" | "close"> | "usage";

/** The methods that are timed: all that a running node calls. */
const methods: readonly Method[] = [
  ...portMethods.store.filter((name) => name !== "open" && name !== "close"),
  "usage",
];

/** Bounds in seconds. */
const bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Wraps a store so that its calls are timed as callers see them, waiting included, and calls in flight are counted. */
export function timedStore(store: Store, metrics: Metrics): Store {
  const naming = {
    name: "tidings_store_call_duration_seconds",
    help: "Time until the store answered; ok is false if it rejected the call.",
    labels: { method: methods, ok: ["true", "false"] },
  } as const;
  const durations = metrics.histogram(naming, bounds);
  let inFlight = 0;
  const inFlightNaming = { name: "tidings_store_calls_waiting", help: "Calls of the store in flight." };
  metrics.read({ ...inFlightNaming, labels: unlabelled }, "gauge", () => [[{}, inFlight]]);
  const timed = async <T>(method: Method, call: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    let ok: "true" | "false" = "false";
    inFlight++;
    try {
      const answer = await call();
      ok = "true";
      return answer;
    } finally {
      inFlight--;
      durations.record({ method, ok }, (performance.now() - start) / 1000);
    }
  };
  const timedUsage: NonNullable<Store["usage"]> = (tenant) =>
    timed("usage", () => (store as Required<Pick<Store, "usage">>).usage(tenant));
  return {
    ...(store.watch ? { watch: store.watch.bind(store) } : {}),
    ...(store.now ? { now: store.now.bind(store) } : {}),
    ...(store.figures ? { figures: store.figures.bind(store) } : {}),
    ...(store.usage ? { usage: timedUsage } : {}),
    open: () => store.open(),
    close: () => store.close(),
    append: (...args) => timed("append", () => store.append(...args)),
    bounds: (...args) => timed("bounds", () => store.bounds(...args)),
    read: (...args) => timed("read", () => store.read(...args)),
    recall: (...args) => timed("recall", () => store.recall(...args)),
    trim: (...args) => timed("trim", () => store.trim(...args)),
    select: (...args) => timed("select", () => store.select(...args)),
    countNotifications: (...args) => timed("countNotifications", () => store.countNotifications(...args)),
    batch: (...args) => timed("batch", () => store.batch(...args)),
    find: (...args) => timed("find", () => store.find(...args)),
    readState: (...args) => timed("readState", () => store.readState(...args)),
    saveReadState: (...args) => timed("saveReadState", () => store.saveReadState(...args)),
  };
}
