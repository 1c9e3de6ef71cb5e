/**
 * Figures of the process, under the names that prom-client's own have, so that ready-made dashboards show them. Not
 * those themselves: theirs cannot be stopped again, and list every socket of the process at each look.
 */
import { readFileSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { constants, monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import { type Metrics, unlabelled } from "../../ports/metrics.ts";

/** Ms between two looks at the event loop. */
const resolution = 10;
const gcKinds = ["minor", "major", "incremental", "weakcb"] as const;
const gcKindOf = new Map<number, (typeof gcKinds)[number]>([
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"],
]);

/** Measures the process until the returned function is called. */
export function measureProcess(meter: Metrics): () => void {
  const gauge = (name: string, help: string, read: () => number | undefined | Promise<number | undefined>) =>
    meter.read({ name, help, labels: unlabelled }, "gauge", async () => {
      const value = await read();
      return value === undefined ? [] : [[{}, value]];
    });
  const cpu = { name: "process_cpu_seconds_total", help: "CPU time of the process.", labels: unlabelled };
  meter.read(cpu, "counter", () => {
    const { user, system } = process.cpuUsage();
    return [[{}, (user + system) / 1e6]];
  });
  gauge("process_start_time_seconds", "When the process began, in seconds since the Unix epoch.", () => startTime);
  gauge("process_resident_memory_bytes", "Memory of the process.", () => process.memoryUsage.rss());
  gauge("process_open_fds", "Open files and sockets.", openFiles);
  gauge("process_max_fds", "Files and sockets that may be open.", mostFiles);
  gauge("nodejs_heap_size_used_bytes", "JavaScript heap in use.", () => process.memoryUsage().heapUsed);
  gauge("nodejs_heap_size_total_bytes", "JavaScript heap.", () => process.memoryUsage().heapTotal);
  gauge("nodejs_external_memory_bytes", "Buffers and other memory outside of the heap.", () => {
    return process.memoryUsage().external;
  });
  const stopLoop = measureLoop(gauge);
  const stopGc = measureGc(meter);
  return () => {
    stopLoop();
    stopGc();
  };
}

const startTime = Math.round(Date.now() / 1000 - process.uptime());

/** Since the last look. */
function measureLoop(gauge: (name: string, help: string, read: () => number) => void): () => void {
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  // Without a delay yet the histogram says so by values that are none.
  const seconds = (nanoseconds: number) => (delay.count === 0 ? 0 : nanoseconds / 1e9);
  gauge("nodejs_eventloop_lag_p50_seconds", "Median delay of the event loop since the last look.", () => {
    return seconds(delay.percentile(50));
  });
  gauge("nodejs_eventloop_lag_p99_seconds", "99th percentile of the event loop's delay since the last look.", () => {
    return seconds(delay.percentile(99));
  });
  gauge("nodejs_eventloop_lag_max_seconds", "Longest delay of the event loop since the last look.", () => {
    const longest = seconds(delay.max);
    // The last of the three to be read.
    delay.reset();
    return longest;
  });
  return () => delay.disable();
}

function measureGc(meter: Metrics): () => void {
  const naming = { name: "nodejs_gc_duration_seconds", help: "Garbage collections.", labels: { kind: gcKinds } };
  const histogram = meter.histogram(naming, [0.001, 0.01, 0.1, 1, 2, 5]);
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as (PerformanceEntry & { detail: { kind: number } })[]) {
      const kind = gcKindOf.get(entry.detail.kind);
      if (kind) histogram.record({ kind }, entry.duration / 1000);
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  return () => observer.disconnect();
}

/** Undefined where the system does not tell. */
async function openFiles(): Promise<number | undefined> {
  const folder = "/proc/self/fd";
  try {
    // Linux counts them since 6.2; a list of 100,000 sockets would take its time.
    const { size } = await stat(folder);
    return size > 0 ? size : (await readdir(folder)).length - 1;
  } catch {
    return undefined;
  }
}

function mostFiles(): number | undefined {
  try {
    const most = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return most === undefined ? undefined : Number(most);
  } catch {
    return undefined;
  }
}
