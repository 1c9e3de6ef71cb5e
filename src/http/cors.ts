import type { IncomingMessage, ServerResponse } from "node:http";
import { cors } from "@connectrpc/connect";
import type { AddressList } from "../util/address-list.ts";
import { valuesOf } from "./raw-headers.ts";

/** How long browsers may cache a preflight, in seconds; Chromium caps it at two hours. */
const preflightSeconds = 7200;
const varyPreflight = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
const allowedHeaders = [...cors.allowedHeaders, "Authorization", "X-Request-Id"].join(", ");
const exposedHeaders = [...cors.exposedHeaders, "X-Request-Id"].join(", ");

/** Decides which pages may use a server. */
export interface OriginRules {
  /** Origins whose pages may; `*` is all. */
  readonly allowedOrigins: readonly string[];
  /** Proxies whose word counts about the host that a page asked for. */
  readonly trustedProxies: AddressList;
}

/**
 * Reports whether a page of this origin may use the server. Without an origin the caller is not a page in a browser,
 * and a page from one of the server's own hosts is always allowed.
 */
export function isOriginAllowed(
  origin: string | undefined,
  hosts: readonly (string | undefined)[],
  allowed: readonly string[],
): boolean {
  if (origin === undefined || allowed.includes("*") || allowed.includes(origin)) return true;
  const url = URL.parse(origin);
  // The origin of a page without a host, such as one in a sandbox, is `null`.
  return url !== null && url.host !== "" && hosts.some((host) => host !== undefined && isHostOf(url, host));
}

/** Reports whether a Host header names the host of a URL, whatever its case, and with or without the default port. */
function isHostOf({ protocol, host }: URL, header: string): boolean {
  return header === host || (!/[/\\?#@\s]/.test(header) && URL.parse(`${protocol}//${header}`)?.host === host);
}

/** Reports whether the page that sent a request may use the server. */
export function isPageAllowed(request: IncomingMessage, rules: OriginRules): boolean {
  const { origin } = request.headers;
  return origin === undefined || isOriginAllowed(origin, hostsOf(request, rules), rules.allowedOrigins);
}

/** The hosts by which a request was addressed: the header Host, and those that trusted proxies report. */
function hostsOf(request: IncomingMessage, { trustedProxies }: OriginRules): (string | undefined)[] {
  // An HTTP/2 request need not have a Host header.
  const own = request.headers.host ?? (request.headers as Record<string, string | undefined>)[":authority"];
  if (!trustedProxies.has(request.socket.remoteAddress)) return [own];
  const forwarded = valuesOf(request, "forwarded").flatMap((value) =>
    [...value.matchAll(/(?:^|[;,])\s*host="?([^";,\s]+)"?/gi)].map(([, host]) => host),
  );
  const listed = valuesOf(request, "x-forwarded-host").flatMap((value) => value.split(","));
  return [own, ...forwarded, ...listed.map((host) => host.trim())];
}

/** The part of an answer that CORS decides. */
export interface CorsAnswer {
  readonly headers: Readonly<Record<string, string>>;
  /** The status of the answer to a preflight, which is complete with it; undefined for another request. */
  readonly status: number | undefined;
}

/** What some requests need beside the rules for all. */
export interface CorsRules {
  /** Further headers that pages may send. */
  readonly requestHeaders: readonly string[];
  /** Further headers that pages may read. */
  readonly responseHeaders: readonly string[];
  /** Whether this page, which is allowed by name, may have an answer that depends on the cookies of its user. */
  readonly credentials: boolean;
}

/**
 * Answers a request of a page for CORS (Fetch standard, CORS protocol). Tokens travel in a header and not in cookies, so
 * credentials are not allowed unless `rules` say otherwise.
 */
export function answerCors(
  origin: string,
  isGranted: boolean,
  isPreflight: boolean,
  allowed: readonly string[],
  rules?: CorsRules,
): CorsAnswer {
  const headers: Record<string, string> = { Vary: isPreflight ? varyPreflight : "Origin" };
  if (isGranted) {
    const { credentials = false, responseHeaders = [] } = rules ?? {};
    headers["Access-Control-Allow-Origin"] = allowed.includes("*") && !credentials ? "*" : origin;
    headers["Access-Control-Expose-Headers"] = [exposedHeaders, ...responseHeaders].join(", ");
    if (credentials) headers["Access-Control-Allow-Credentials"] = "true";
  }
  if (!isPreflight) return { headers, status: undefined };
  if (isGranted) {
    headers["Access-Control-Allow-Methods"] = cors.allowedMethods.join(", ");
    headers["Access-Control-Allow-Headers"] = [allowedHeaders, ...(rules?.requestHeaders ?? [])].join(", ");
    headers["Access-Control-Max-Age"] = String(preflightSeconds);
  }
  return { headers, status: isGranted ? 204 : 403 };
}

/**
 * Creates the CORS handler, which lets pages of the allowed origins call. It responds to a preflight itself and then
 * returns true; otherwise it sets the headers of the response and returns false. `rulesOf` returns what a request needs
 * beside the rules for all.
 */
export function createCors(
  rules: OriginRules,
  rulesOf: (request: IncomingMessage) => CorsRules | undefined = () => undefined,
): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (request, response) => {
    const { origin } = request.headers;
    if (origin === undefined) return false;
    const isPreflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
    const isGranted = isPageAllowed(request, rules);
    const { headers, status } = answerCors(origin, isGranted, isPreflight, rules.allowedOrigins, rulesOf(request));
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (status === undefined) return false;
    response.writeHead(status).end();
    return true;
  };
}
