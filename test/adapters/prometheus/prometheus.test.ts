import { afterEach, describe, expect, test } from "vitest";
import { PrometheusMetrics } from "../../../src/adapters/prometheus/metrics.ts";
import { openPrometheus, type Prometheus } from "../../../src/adapters/prometheus/prometheus.ts";
import { createTidings } from "../../../src/server.ts";
import { Figures, scrape } from "../../support/figures.ts";
import { secret } from "../../support/token.ts";

const opened: Prometheus[] = [];
afterEach(async () => {
  for (const prometheus of opened.splice(0)) await prometheus.close();
});

function open(): Prometheus {
  const prometheus = openPrometheus();
  opened.push(prometheus);
  return prometheus;
}

const naming = { name: "test_total", help: "A test.", labels: { colour: ["red", "blue"] } } as const;

describe("PrometheusMetrics", () => {
  test("counts by label", async () => {
    const metrics = new PrometheusMetrics();
    const counter = metrics.counter(naming);
    counter.add({ colour: "red" });
    counter.add({ colour: "red" }, 2);
    counter.add({ colour: "blue" });
    const figures = new Figures(await metrics.text());
    expect(figures.value("test_total", { colour: "red" })).toBe(3);
    expect(figures.value("test_total", { colour: "blue" })).toBe(1);
  });

  test("creates no series for label values that are not declared, whatever callers send", async () => {
    const metrics = new PrometheusMetrics();
    const counter = metrics.counter({ ...naming, labels: { colour: ["red"] as readonly string[] } });
    const histogram = metrics.histogram(
      { ...naming, name: "test_seconds", labels: { colour: ["red"] as string[] } },
      [1],
    );
    for (let index = 0; index < 1000; index++) {
      counter.add({ colour: `tenant-${index}` });
      histogram.record({ colour: `user-${index}` }, index);
    }
    const figures = new Figures(await metrics.text());
    expect(figures.samples.filter(({ name }) => name === "test_total")).toEqual([
      { name: "test_total", labels: { colour: "other" }, value: 1000 },
    ]);
    expect(figures.value("test_seconds_count", { colour: "other" })).toBe(1000);
    expect(figures.samples).toHaveLength(1 + 4);
  });

  test("reads values at each scrape, and drops series that are gone", async () => {
    const metrics = new PrometheusMetrics();
    let colour: "red" | "blue" = "red";
    metrics.read({ ...naming, name: "test_now" }, "gauge", () => [[{ colour }, 7]]);
    metrics.read(naming, "counter", async () => [[{ colour: "red" }, 5]]);
    expect(new Figures(await metrics.text()).value("test_now", { colour: "red" })).toBe(7);
    colour = "blue";
    const figures = new Figures(await metrics.text());
    expect(figures.samples.filter(({ name }) => name === "test_now")).toEqual([
      { name: "test_now", labels: { colour: "blue" }, value: 7 },
    ]);
    expect(figures.value("test_total"), "not added up over scrapes").toBe(5);
    expect(figures.types.get("test_total")).toBe("counter");
    expect(figures.types.get("test_now")).toBe("gauge");
  });

  test("keeps several in one process apart", async () => {
    const [one, two] = [new PrometheusMetrics(), new PrometheusMetrics()];
    one.counter(naming).add({ colour: "red" });
    two.counter(naming).add({ colour: "red" }, 9);
    expect(new Figures(await one.text()).value("test_total")).toBe(1);
    expect(new Figures(await two.text()).value("test_total")).toBe(9);
  });
});

describe("The metrics of the process", () => {
  test("have plausible values", async () => {
    const { page } = open();
    const { text, contentType } = await page();
    const figures = new Figures(text);
    expect(contentType).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(figures.value("process_cpu_seconds_total")).toBeGreaterThan(0);
    expect(figures.value("process_resident_memory_bytes")).toBeGreaterThan(10_000_000);
    expect(figures.value("nodejs_heap_size_used_bytes")).toBeLessThanOrEqual(
      figures.value("nodejs_heap_size_total_bytes"),
    );
    expect(figures.value("process_open_fds")).toBeGreaterThan(2);
    expect(figures.value("process_open_fds")).toBeLessThanOrEqual(figures.value("process_max_fds"));
    expect(Math.abs(figures.value("process_start_time_seconds") - (Date.now() / 1000 - process.uptime()))).toBeLessThan(
      2,
    );
    expect(figures.value("nodejs_eventloop_lag_max_seconds")).toBeGreaterThanOrEqual(
      figures.value("nodejs_eventloop_lag_p50_seconds"),
    );
  });
});

describe("The address for scrapers", () => {
  test("serves /metrics and nothing else", async () => {
    const { serve } = open();
    const url = await serve({ port: 0 });
    expect((await scrape(url)).value("process_open_fds")).toBeGreaterThan(0);
    const head = await fetch(url, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect((await fetch(url, { method: "POST", body: "x" })).status).toBe(405);
    expect((await fetch(new URL("/", url))).status).toBe(404);
    expect((await fetch(new URL("/metrics/x", url))).status).toBe(404);
    expect((await fetch(`${url}?name=x`)).status).toBe(200);
  });

  test("is named in the error when its port is in use", async () => {
    const { serve } = open();
    const { port } = new URL(await serve({ port: 0 }));
    await expect(open().serve({ port: Number(port) })).rejects.toThrow(
      new RegExp(`^metrics cannot be served on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`),
    );
  });

  test("may be one of IPv6, and is free again after close", async () => {
    const first = open();
    const url = await first.serve({ host: "::1", port: 0 });
    expect(url).toMatch(/^http:\/\/\[::1\]:\d+\/metrics$/);
    await first.close();
    await expect(fetch(url)).rejects.toThrow();
  });

  test("is not served by a server without the option metrics", async () => {
    const tidings = await createTidings({ data: ":memory:", auth: { secret } });
    await expect(tidings.listen({ port: 0, metricsAddress: { port: 0 } })).rejects.toThrow("metrics: set the option");
    await expect(tidings.metrics()).rejects.toThrow("metrics: set the option");
    await tidings.close();
  });
});
