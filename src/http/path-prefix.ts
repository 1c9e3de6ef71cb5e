import type { IncomingMessage } from "node:http";

/** Reports whether a text is a path below which a server may be reached: it begins with `/` and does not end with it. */
export function isPathPrefix(text: string): boolean {
  return /^(\/[^/?#\s]+)+$/.test(text);
}

/** Creates a function that takes a prefix off the path of a request, if it is there. The prefix `""` takes nothing. */
export function prefixStripper(prefix: string): (request: IncomingMessage) => void {
  if (prefix === "") return () => {};
  if (!isPathPrefix(prefix)) throw new TypeError("pathPrefix: must begin with / and not end with it");
  return (request) => {
    if (request.url?.startsWith(`${prefix}/`)) request.url = request.url.slice(prefix.length);
  };
}
