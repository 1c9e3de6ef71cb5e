/**
 * Metrics of the process, under the names of prom-client's default metrics, so that ready-made dashboards show them.
 * prom-client's own collector cannot be stopped, and it lists every socket of the process at each scrape.
 */
import { readFileSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { constants, monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import { type Metrics, unlabelled } from "../../ports/metrics.ts";

/** The interval at which the delay of the event loop is sampled, in ms. */
const resolution = 10;
const gcKinds = ["minor", "major", "incremental", "weakcb"] as const;
const gcKindOf = new Map<number, (typeof gcKinds)[number]>([
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"],
]);

/** Adds the metrics of the process, and measures until the returned function is called. */
export function measureProcess(metrics: Metrics): () => void {
  const gauge = (name: string, help: string, read: () => number | undefined | Promise<number | undefined>) =>
    metrics.read({ name, help, labels: unlabelled }, "gauge", async () => {
      const value = await read();
      return value === undefined ? [] : [[{}, value]];
    });
  const cpu = { name: "process_cpu_seconds_total", help: "CPU time of the process.", labels: unlabelled };
  metrics.read(cpu, "counter", () => {
    const { user, system } = process.cpuUsage();
    return [[{}, (user + system) / 1e6]];
  });
  gauge("process_start_time_seconds", "When the process started, in seconds since the Unix epoch.", () => startTime);
  gauge("process_resident_memory_bytes", "Resident memory of the process.", () => process.memoryUsage.rss());
  gauge("process_open_fds", "Open files and sockets.", countOpenFiles);
  gauge("process_max_fds", "The most files and sockets that may be open.", maxOpenFiles);
  gauge("nodejs_heap_size_used_bytes", "JavaScript heap in use.", () => process.memoryUsage().heapUsed);
  gauge("nodejs_heap_size_total_bytes", "Size of the JavaScript heap.", () => process.memoryUsage().heapTotal);
  gauge("nodejs_external_memory_bytes", "Buffers and other memory outside the heap.", () => {
    return process.memoryUsage().external;
  });
  const stopLoop = measureLoop(gauge);
  const stopGc = measureGc(metrics);
  return () => {
    stopLoop();
    stopGc();
  };
}

const startTime = Math.round(Date.now() / 1000 - process.uptime());

/** Measures the delay of the event loop since the last scrape. */
function measureLoop(gauge: (name: string, help: string, read: () => number) => void): () => void {
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  // Before the first sample the histogram returns placeholders, not delays.
  const seconds = (nanoseconds: number) => (delay.count === 0 ? 0 : nanoseconds / 1e9);
  gauge("nodejs_eventloop_lag_p50_seconds", "Median delay of the event loop since the last scrape.", () => {
    return seconds(delay.percentile(50));
  });
  gauge("nodejs_eventloop_lag_p99_seconds", "99th percentile of the event loop's delay since the last scrape.", () => {
    return seconds(delay.percentile(99));
  });
  gauge("nodejs_eventloop_lag_max_seconds", "Longest delay of the event loop since the last scrape.", () => {
    const longest = seconds(delay.max);
    // Gauges are read in the order of registration, so the other two have been read by now.
    delay.reset();
    return longest;
  });
  return () => delay.disable();
}

function measureGc(metrics: Metrics): () => void {
  const naming = {
    name: "nodejs_gc_duration_seconds",
    help: "Duration of garbage collections, in seconds.",
    labels: { kind: gcKinds },
  };
  const histogram = metrics.histogram(naming, [0.001, 0.01, 0.1, 1, 2, 5]);
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as (PerformanceEntry & { detail: { kind: number } })[]) {
      const kind = gcKindOf.get(entry.detail.kind);
      if (kind) histogram.record({ kind }, entry.duration / 1000);
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  return () => observer.disconnect();
}

/** Counts the open files and sockets; undefined where the system does not report them. */
async function countOpenFiles(): Promise<number | undefined> {
  const folder = "/proc/self/fd";
  try {
    // Linux 6.2 and later report the count as the size of the folder; listing 100,000 sockets takes long. Listing opens
    // one descriptor itself.
    const { size } = await stat(folder);
    return size > 0 ? size : (await readdir(folder)).length - 1;
  } catch {
    return undefined;
  }
}

/** Returns the limit of open files; undefined where the system does not report it. */
function maxOpenFiles(): number | undefined {
  try {
    const limit = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}
