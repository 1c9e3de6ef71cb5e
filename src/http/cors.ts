import type { IncomingMessage, ServerResponse } from "node:http";
import { cors } from "@connectrpc/connect";

/** A day's worth would be cut by browsers to two hours anyway. */
const preflightSeconds = 7200;
const varyPreflight = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
const allowedHeaders = [...cors.allowedHeaders, "Authorization", "X-Request-Id"].join(", ");
const exposedHeaders = [...cors.exposedHeaders, "X-Request-Id"].join(", ");

/**
 * Whether a page of this origin may use the server. No origin means no browser, so there is no page to protect; a page
 * that came from this host is at home.
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
 * Lets pages of other origins call (Fetch standard, CORS protocol). Answers preflights itself and then says true; sets
 * the headers of all other answers. No cookies are involved, so credentials are not allowed.
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

/** HTTP/2 has no Host header of its own. */
function authorityOf(request: IncomingMessage): string | undefined {
  return (request.headers as Record<string, string | undefined>)[":authority"];
}
