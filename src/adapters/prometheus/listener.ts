import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { PrometheusMetrics } from "./metrics.ts";

/** Connections at once: scrapers are few, and one that hangs must not add up. */
const maxConnections = 16;
const timeoutMs = 10_000;

/**
 * Serves /metrics on an address of its own: what a node does is not for those who reach its port, and a scraper must not
 * need a token.
 */
export class MetricsListener {
  readonly #server: Server;
  readonly #meter: PrometheusMetrics;

  constructor(meter: PrometheusMetrics) {
    this.#meter = meter;
    const options = { requestTimeout: timeoutMs, headersTimeout: timeoutMs, keepAliveTimeout: timeoutMs };
    this.#server = createServer(options, (request, response) => void this.#answer(request, response));
    this.#server.maxConnections = maxConnections;
    this.#server.unref();
  }

  /** Throws when the port is taken. Answers with the port, for 0 takes any free one. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      // Workers of a cluster would share the port, and each look would find another one of them.
      this.#server.listen({ host, port, exclusive: true }, () => {
        this.#server.off("error", reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Cuts what is under way. */
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
      const text = await this.#meter.text();
      response.writeHead(200, { "content-type": this.#meter.contentType, "cache-control": "no-store" }).end(text);
    } catch {
      end(response, 500, "the figures could not be read\n");
    }
  }
}

function end(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain" }).end(text);
}
