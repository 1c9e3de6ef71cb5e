import type { IncomingMessage, ServerResponse } from "node:http";
import { cors } from "@connectrpc/connect";

/** How long browsers may cache a preflight, in seconds; Chromium caps it at two hours. */
const preflightSeconds = 7200;
const varyPreflight = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
const allowedHeaders = [...cors.allowedHeaders, "Authorization", "X-Request-Id"].join(", ");
const exposedHeaders = [...cors.exposedHeaders, "X-Request-Id"].join(", ");

/**
 * Reports whether a page of this origin may use the server. Without an origin the caller is not a page in a browser,
 * and a page from the server's own host is always allowed.
 */
export function isOriginAllowed(
  origin: string | undefined,
  host: string | undefined,
  allowed: readonly string[],
): boolean {
  if (origin === undefined || allowed.includes("*") || allowed.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}

/**
 * Creates the CORS handler (Fetch standard, CORS protocol), which lets pages of the allowed origins call. It responds
 * to a preflight itself and then returns true; otherwise it sets the headers of the response and returns false. Tokens
 * travel in a header and not in cookies, so credentials are not allowed.
 */
export function createCors(
  allowed: readonly string[],
): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (request, response) => {
    const { origin, host } = request.headers;
    if (origin === undefined) return false;
    const granted = isOriginAllowed(origin, host ?? authorityOf(request), allowed);
    const preflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
    response.setHeader("Vary", preflight ? varyPreflight : "Origin");
    if (granted) {
      response.setHeader("Access-Control-Allow-Origin", allowed.includes("*") ? "*" : origin);
      response.setHeader("Access-Control-Expose-Headers", exposedHeaders);
    }
    if (!preflight) return false;
    if (granted) {
      response.setHeader("Access-Control-Allow-Methods", cors.allowedMethods.join(", "));
      response.setHeader("Access-Control-Allow-Headers", allowedHeaders);
      response.setHeader("Access-Control-Max-Age", String(preflightSeconds));
    }
    response.writeHead(granted ? 204 : 403).end();
    return true;
  };
}

/** The host of an HTTP/2 request, which need not have a Host header. */
function authorityOf(request: IncomingMessage): string | undefined {
  return (request.headers as Record<string, string | undefined>)[":authority"];
}
