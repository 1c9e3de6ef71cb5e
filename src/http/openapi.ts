/** Serves the description of the JSON interface, for generators of clients and for people. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { namesTag } from "./entity-tag.ts";
import { writeBody } from "./exchange.ts";
import type { InFlight } from "./in-flight.ts";

/** The build copies gen/ beside src/, so the path is right in the sources and in the package. */
const file = new URL("../../gen/openapi.json", import.meta.url);
const path = "/openapi.json";

/** A handler of requests for the description. It needs no token: the document is the same for all, and public. */
export interface OpenApi {
  /** Reports whether a request is for the description. */
  serves(request: IncomingMessage): boolean;
  /** Answers such a request. */
  answer(request: IncomingMessage, response: ServerResponse): void;
}

/** Serves nothing, for a server that has the description turned off. */
export const noOpenApi: OpenApi = { serves: () => false, answer: () => {} };

/** The description, kept by the process. All its responses share the same bytes, so that unread ones take no memory. */
let document: { readonly text: Buffer; readonly etag: string } | undefined;
/** The same, compressed by the first request that accepts gzip. */
let compressed: Buffer | undefined;

/** Creates the handler. `inFlight` cuts responses that nobody reads. Throws when gen/openapi.json is missing. */
export function createOpenApi(inFlight: InFlight): OpenApi {
  document ??= read();
  const { text, etag } = document;
  return {
    serves: ({ url = "" }) => url.startsWith(path) && (url.length === path.length || url[path.length] === "?"),
    answer(request, response) {
      const { method, headers } = request;
      if (method !== "GET" && method !== "HEAD") {
        response.writeHead(405, { allow: "GET, HEAD", "content-type": "text/plain" }).end("use GET\n");
        return;
      }
      response.setHeader("cache-control", "no-cache");
      response.setHeader("etag", etag);
      response.appendHeader("vary", "Accept-Encoding");
      if (namesTag(headers["if-none-match"], etag)) {
        response.writeHead(304).end();
        return;
      }
      const isCompressed = takesGzip(headers["accept-encoding"]);
      if (isCompressed) {
        compressed ??= gzipSync(text);
        response.setHeader("content-encoding", "gzip");
      }
      const body = isCompressed && compressed ? compressed : text;
      response.writeHead(200, { "content-type": "application/json", "content-length": body.length });
      // Counts as one byte, since the bytes are those of all responses.
      const unread = () => inFlight.unread(response, 1, undefined);
      writeBody(response, method === "HEAD" ? undefined : body, body.length, unread)?.catch(() => response.destroy());
    },
  };
}

function read(): { readonly text: Buffer; readonly etag: string } {
  const text = readFileSync(file);
  // Weak, because it stands for the compressed form, too.
  return { text, etag: `W/"${createHash("sha256").update(text).digest("base64url").slice(0, 22)}"` };
}

/** Not by one regular expression, whose backtracking a header of spaces would drive to a second. */
function takesGzip(header: string | readonly string[] | undefined): boolean {
  return String(header ?? "")
    .split(",")
    .some((each) => {
      const [coding, ...parameters] = each.split(";").map((part) => part.trim().toLowerCase());
      return coding === "gzip" && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    });
}
