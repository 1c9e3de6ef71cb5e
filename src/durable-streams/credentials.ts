import type { IncomingMessage } from "node:http";
import { bearerToken } from "../auth/verify-token.ts";
import { fail } from "../errors.ts";
import { isPageAllowed } from "../http/cors.ts";
import type { Settings } from "../options.ts";
import { cookiesOf } from "../util/cookies.ts";

/**
 * Returns the token of a request: that of its Authorization header or, because an EventSource can send no header, that of the
 * cookie where the server takes one. Undefined without either.
 *
 * Any page can make a browser send a cookie, so it counts only for a page of the same origin, or of one that the server
 * allows by name. Throws TOKEN_INVALID for several cookies of that name, because a proxy may have checked another one.
 */
export function tokenOf(request: IncomingMessage, settings: Settings): string | undefined {
  const { authorization } = request.headers;
  const { cookie: name } = settings.auth;
  if (authorization !== undefined || name === undefined) return bearerToken(authorization ?? null);
  const found = cookiesOf(request.headers.cookie ?? "", name);
  if (found.length === 0) return undefined;
  if (found.length > 1) throw fail("TOKEN_INVALID", `there is more than one cookie ${name}; send one`);
  if (isFromOwnPage(request, settings)) return found[0];
  const sentence =
    "a cookie counts only for pages of this origin and of allowedOrigins; send `Authorization: Bearer <token>`";
  throw fail("TOKEN_MISSING", sentence);
}

/** Whether the request comes from a page that may use the cookies of its user; one without the headers that say so does not. */
export function isFromOwnPage(request: IncomingMessage, settings: Settings): boolean {
  const { origin, "sec-fetch-site": site } = request.headers;
  // `none`: the user opened the address by hand.
  if (origin === undefined) return site === "same-origin" || site === "none";
  const named = withoutWildcard(settings);
  // The same host is another origin over http, where anybody on the network may have written the page. The header Host does
  // not tell the two apart behind a proxy, but the browser does.
  const isForeign = site !== undefined && site !== "same-origin";
  return isForeign ? named.allowedOrigins.includes(origin) : isPageAllowed(request, named);
}

/** The settings by which a page is allowed by name: with credentials, `*` allows nobody (Fetch standard, CORS protocol). */
function withoutWildcard({ allowedOrigins, trustedProxies }: Settings) {
  return { allowedOrigins: allowedOrigins.filter((origin) => origin !== "*"), trustedProxies };
}
