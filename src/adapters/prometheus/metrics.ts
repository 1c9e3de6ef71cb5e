import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Labels, Metrics, Naming, Readings, Values } from "../../ports/metrics.ts";

/** Replaces a label value that the instrument does not declare, so that callers cannot create series. */
const other = "other";

/** Port Metrics for Prometheus. Each instance has its own registry, which keeps several servers in one process apart. */
export class PrometheusMetrics implements Metrics {
  readonly #registry = new Registry();

  /** The content type of what `text` returns. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Returns the current values in the text format of Prometheus. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  counter<L extends Labels>(naming: Naming<L>) {
    const counter = new Counter(this.#configuration(naming));
    const declared = declaredBy(naming.labels);
    return { add: (values: Values<L>, by = 1) => counter.inc(bounded(values, declared), by) };
  }

  histogram<L extends Labels>(naming: Naming<L>, bounds: readonly number[]) {
    const histogram = new Histogram({ ...this.#configuration(naming), buckets: [...bounds] });
    const declared = declaredBy(naming.labels);
    return { record: (values: Values<L>, value: number) => histogram.observe(bounded(values, declared), value) };
  }

  read<L extends Labels>(naming: Naming<L>, kind: "gauge" | "counter", readings: Readings<L>): void {
    const declared = declaredBy(naming.labels);
    const configuration = this.#configuration(naming);
    if (kind === "counter") {
      new Counter({
        ...configuration,
        async collect() {
          const found = await readings();
          this.reset();
          for (const [values, value] of found) this.inc(bounded(values, declared), value);
        },
      });
      return;
    }
    new Gauge({
      ...configuration,
      async collect() {
        const found = await readings();
        this.reset();
        for (const [values, value] of found) this.set(bounded(values, declared), value);
      },
    });
  }

  #configuration<L extends Labels>({ name, help, labels }: Naming<L>) {
    return { name, help, labelNames: Object.keys(labels), registers: [this.#registry] };
  }
}

/** The declared values of each label. */
type Declared = ReadonlyMap<string, ReadonlySet<string>>;

function declaredBy(labels: Labels): Declared {
  return new Map(Object.entries(labels).map(([name, values]) => [name, new Set(values)]));
}

function bounded(values: Readonly<Record<string, string>>, declared: Declared): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, set] of declared) {
    const value = values[name] ?? "";
    result[name] = set.has(value) ? value : other;
  }
  return result;
}
