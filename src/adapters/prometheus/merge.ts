/**
 * Joins the metrics pages of several threads of one process, in Prometheus' text format. Counters, histograms and most gauges
 * are added up by series.
 */

/** How the values of one series are joined. */
type Join = (values: readonly number[]) => number;

const sum: Join = (values) => values.reduce((total, value) => total + value, 0);
const most: Join = (values) => Math.max(...values);
const least: Join = (values) => Math.min(...values);

/** The metrics that are not added up, since each thread reports that of the process, or since the worst thread counts. */
const joins: ReadonlyMap<string, Join> = new Map([
  ["process_cpu_seconds_total", most],
  ["process_start_time_seconds", least],
  ["process_resident_memory_bytes", most],
  ["process_open_fds", most],
  ["process_max_fds", least],
  ["nodejs_eventloop_lag_p50_seconds", most],
  ["nodejs_eventloop_lag_p99_seconds", most],
  ["nodejs_eventloop_lag_max_seconds", most],
  ["tidings_draining", most],
  ["tidings_bus_connected", least],
  ["tidings_key_set_age_seconds", most],
  ["tidings_store_clock_skew_seconds", most],
  ["tidings_store_usable", least],
  ["tidings_store_trimmed_total", most],
  ["tidings_store_untrimmed", most],
  ["tidings_store_trim_seconds_total", most],
  ["tidings_store_wal_bytes", most],
  ["tidings_store_checkpoint_failures_total", most],
  ["tidings_store_restarts_total", most],
]);

/** One metric of a page: its comments, and its values by series, such as `name{label="value"}`. */
interface Family {
  readonly comments: readonly string[];
  readonly isGauge: boolean;
  readonly series: Map<string, number[]>;
}

/**
 * Joins pages. From `ended`, the last pages of threads that have ended, only counters and histograms are taken, so that these
 * never fall.
 */
export function mergePages(pages: readonly string[], ended: readonly string[] = []): string {
  const families = new Map<string, Family>();
  for (const page of pages) read(page, families, () => true);
  for (const page of ended) read(page, families, ({ isGauge }) => !isGauge);
  const blocks = [...families].map(([name, { comments, series }]) => {
    const join = joins.get(name) ?? sum;
    const lines = [...series].map(([key, values]) => `${key} ${spell(join(values))}`);
    return `${[...comments, ...lines].join("\n")}\n`;
  });
  return blocks.join("\n");
}

/** Adds the values of a page to `families`. */
function read(page: string, families: Map<string, Family>, isTaken: (family: Family) => boolean): void {
  let comments: string[] = [];
  let family: Family | undefined;
  for (const line of page.split("\n")) {
    if (line.startsWith("# HELP ")) comments = [line];
    else if (line.startsWith("# TYPE ")) {
      const [, , name = "", type] = line.split(" ");
      family = families.get(name) ?? { comments: [...comments, line], isGauge: type === "gauge", series: new Map() };
      if (isTaken(family)) families.set(name, family);
    } else if (line !== "" && family && isTaken(family)) {
      // The value of a label may hold a blank; the number, which follows the last blank, does not.
      const end = line.lastIndexOf(" ");
      const key = line.slice(0, end);
      const values = family.series.get(key);
      const value = parse(line.slice(end + 1));
      if (values) values.push(value);
      else family.series.set(key, [value]);
    }
  }
}

/** Infinity and NaN are spelled `+Inf`, `-Inf` and `NaN` (https://prometheus.io/docs/instrumenting/exposition_formats/). */
function parse(text: string): number {
  return text.endsWith("Inf")
    ? text.startsWith("-")
      ? Number.NEGATIVE_INFINITY
      : Number.POSITIVE_INFINITY
    : Number(text);
}

function spell(value: number): string {
  if (Number.isFinite(value) || Number.isNaN(value)) return String(value);
  return value > 0 ? "+Inf" : "-Inf";
}
