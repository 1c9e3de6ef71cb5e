import { expect, test } from "vitest";
import { mergePages } from "../../../src/adapters/prometheus/merge.ts";

const page = (streams: number, calls: number, usable = 1, lag = 0.01) =>
  `# HELP tidings_streams Open streams.
# TYPE tidings_streams gauge
tidings_streams{transport="websocket"} ${streams}
tidings_streams{transport="a \\"b\\" c"} 1

# HELP calls_seconds Duration of calls.
# TYPE calls_seconds histogram
calls_seconds_bucket{le="0.5",method="x y"} ${calls}
calls_seconds_bucket{le="+Inf",method="x y"} ${calls}
calls_seconds_sum{method="x y"} ${calls / 4}
calls_seconds_count{method="x y"} ${calls}

# HELP tidings_store_usable 1 while the store can be used, else 0.
# TYPE tidings_store_usable gauge
tidings_store_usable ${usable}

# HELP nodejs_eventloop_lag_max_seconds Longest delay.
# TYPE nodejs_eventloop_lag_max_seconds gauge
nodejs_eventloop_lag_max_seconds ${lag}
`;

test("The metrics of a process add up those of its threads, except for gauges of which the worst thread counts", () => {
  expect(mergePages([page(3, 8), page(4, 2, 0, 0.5)])).toBe(page(7, 10, 0, 0.5).replace('c"} 1', 'c"} 2'));
});

test("A thread that has ended still counts in counters and histograms, but not in gauges", () => {
  const ended = mergePages([], [page(3, 8), page(1, 1)]);
  expect(ended).not.toContain("gauge");
  expect(mergePages([page(4, 2)], [ended])).toBe(page(4, 11));
  expect(mergePages([page(4, 2)], [""])).toBe(page(4, 2));
});

test("A single page stays as it is, infinities included", () => {
  const infinite = "# HELP limit A limit.\n# TYPE limit gauge\nlimit +Inf\n";
  expect(mergePages([infinite])).toBe(infinite);
  expect(mergePages([infinite, "# HELP limit A limit.\n# TYPE limit gauge\nlimit -Inf\n"])).toContain("limit NaN");
});
