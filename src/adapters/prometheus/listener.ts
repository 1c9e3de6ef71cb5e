import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { PrometheusMetrics } from "./metrics.ts";

/** The most connections at once: scrapers are few, and one that hangs must not pile up connections. */
const maxConnections = 16;
const timeoutMs = 10_000;

/**
 * Serves /metrics on an address of its own, since clients of the main port must not read the metrics, and a scraper
 * should not need a token.
 */
export class MetricsListener {
  readonly #server: Server;
  readonly #metrics: Pick<PrometheusMetrics, "contentType" | "text">;

  constructor(metrics: Pick<PrometheusMetrics, "contentType" | "text">) {
    this.#metrics = metrics;
    const options = { requestTimeout: timeoutMs, headersTimeout: timeoutMs, keepAliveTimeout: timeoutMs };
    this.#server = createServer(options, (request, response) => void this.#answer(request, response));
    this.#server.maxConnections = maxConnections;
    this.#server.unref();
  }

  /** Resolves with the port, a free one where `port` is 0. Rejects when the port is in use. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      // Without `exclusive`, the workers of a cluster would share the port, and a scrape would reach any of them.
      this.#server.listen({ host, port, exclusive: true }, () => {
        this.#server.off("error", reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Stops, ending all connections. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url?.split("?", 1)[0] !== "/metrics") return end(response, 404, "not found\n");
    if (request.method !== "GET" && request.method !== "HEAD") return end(response, 405, "use GET\n");
    try {
      const text = await this.#metrics.text();
      response.writeHead(200, { "content-type": this.#metrics.contentType, "cache-control": "no-store" }).end(text);
    } catch {
      end(response, 500, "the metrics could not be read\n");
    }
  }
}

function end(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain" }).end(text);
}
