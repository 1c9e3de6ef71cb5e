import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Labels, Metrics, Naming, Readings, Values } from "../../ports/metrics.ts";

/** Stands for a value that the instrument does not know, so that no caller can make a series. */
const other = "other";

/** Port Meter for Prometheus. Each has a registry of its own, so that several servers in one process do not meet. */
export class PrometheusMetrics implements Metrics {
  readonly #registry = new Registry();

  /** The content type of `text`. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All figures of this moment in Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  counter<L extends Labels>(naming: Naming<L>) {
    const counter = new Counter(this.#configuration(naming));
    const known = knownOf(naming.labels);
    return { add: (values: Values<L>, by = 1) => counter.inc(bounded(values, known), by) };
  }

  histogram<L extends Labels>(naming: Naming<L>, bounds: readonly number[]) {
    const histogram = new Histogram({ ...this.#configuration(naming), buckets: [...bounds] });
    const known = knownOf(naming.labels);
    return { record: (values: Values<L>, value: number) => histogram.observe(bounded(values, known), value) };
  }

  read<L extends Labels>(naming: Naming<L>, kind: "gauge" | "counter", readings: Readings<L>): void {
    const known = knownOf(naming.labels);
    const configuration = this.#configuration(naming);
    if (kind === "counter") {
      new Counter({
        ...configuration,
        async collect() {
          const found = await readings();
          this.reset();
          for (const [values, value] of found) this.inc(bounded(values, known), value);
        },
      });
      return;
    }
    new Gauge({
      ...configuration,
      async collect() {
        const found = await readings();
        this.reset();
        for (const [values, value] of found) this.set(bounded(values, known), value);
      },
    });
  }

  #configuration<L extends Labels>({ name, help, labels }: Naming<L>) {
    return { name, help, labelNames: Object.keys(labels), registers: [this.#registry] };
  }
}

type Known = ReadonlyMap<string, ReadonlySet<string>>;

function knownOf(labels: Labels): Known {
  return new Map(Object.entries(labels).map(([name, values]) => [name, new Set(values)]));
}

function bounded(values: Readonly<Record<string, string>>, known: Known): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, set] of known) {
    const value = values[name] ?? "";
    result[name] = set.has(value) ? value : other;
  }
  return result;
}
