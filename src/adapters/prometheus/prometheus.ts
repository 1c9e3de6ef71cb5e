import { MetricsListener } from "./listener.ts";
import { mergePages } from "./merge.ts";
import { PrometheusMetrics } from "./metrics.ts";
import { measureProcess } from "./process.ts";

/** The metrics of a node, and the ways to read them. */
export interface Prometheus {
  readonly metrics: PrometheusMetrics;
  /** Returns the current values in the text format of Prometheus. */
  page(): Promise<{ contentType: string; text: string }>;
  /** Serves them under /metrics. Resolves with the URL; rejects when the port is in use. Default host: 127.0.0.1. */
  serve(at: { readonly host?: string; readonly port: number }): Promise<string>;
  /** Stops measuring and serving. */
  close(): Promise<void>;
}

/** Metrics pages of the other threads of the process. */
export interface ThreadPages {
  /** The current pages of running threads. */
  readonly running: readonly string[];
  /** The last pages of threads that have ended. */
  readonly ended: readonly string[];
}

/**
 * Creates the metrics, with those of the process, and starts to measure. With `threads` the page is that of the whole
 * process: its own values joined with theirs.
 */
export function openPrometheus(threads?: () => Promise<ThreadPages>): Prometheus {
  const metrics = new PrometheusMetrics();
  const stop = measureProcess(metrics);
  const listeners = new Set<MetricsListener>();
  const { contentType } = metrics;
  const text = async (): Promise<string> => {
    if (!threads) return metrics.text();
    const [own, { running, ended }] = await Promise.all([metrics.text(), threads()]);
    return mergePages([own, ...running], ended);
  };
  return {
    metrics,
    page: async () => ({ contentType, text: await text() }),
    async serve({ host = "127.0.0.1", port }) {
      const listener = new MetricsListener({ contentType, text });
      const bound = await listener.listen(host, port).catch((cause: Error) => {
        // Name the address: the server has another port, and the caller may know both.
        throw new Error(`metrics cannot be served on ${host}:${port}: ${cause.message}`, { cause });
      });
      listeners.add(listener);
      return `http://${host.includes(":") ? `[${host}]` : host}:${bound}/metrics`;
    },
    async close() {
      stop();
      await Promise.all([...listeners].map((listener) => listener.close()));
    },
  };
}
