import { MetricsListener } from "./listener.ts";
import { PrometheusMetrics } from "./metrics.ts";
import { measureProcess } from "./process.ts";

/** A node's figures, and the ways to show them. */
export interface Prometheus {
  readonly meter: PrometheusMetrics;
  /** The figures of this moment. */
  page(): Promise<{ contentType: string; text: string }>;
  /** Serves them; answers with the URL. Throws when the port is taken. Default host: 127.0.0.1. */
  serve(at: { readonly host?: string; readonly port: number }): Promise<string>;
  /** Stops measuring and serving. */
  close(): Promise<void>;
}

/** Begins to count, the process' own figures included. */
export function openPrometheus(): Prometheus {
  const meter = new PrometheusMetrics();
  const stop = measureProcess(meter);
  const listeners = new Set<MetricsListener>();
  return {
    meter,
    page: async () => ({ contentType: meter.contentType, text: await meter.text() }),
    async serve({ host = "127.0.0.1", port }) {
      const listener = new MetricsListener(meter);
      const taken = await listener.listen(host, port).catch((cause: Error) => {
        // In words that name it: the caller knows two ports.
        throw new Error(`metrics cannot be served on ${host}:${port}: ${cause.message}`, { cause });
      });
      listeners.add(listener);
      return `http://${host.includes(":") ? `[${host}]` : host}:${taken}/metrics`;
    },
    async close() {
      stop();
      await Promise.all([...listeners].map((listener) => listener.close()));
    },
  };
}
