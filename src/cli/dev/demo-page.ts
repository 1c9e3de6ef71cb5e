import { existsSync, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { fileURLToPath } from "node:url";
import { mintDemoTokens } from "./demo-tokens.ts";

/** Lifetime of a page's tokens, in seconds: short, so that the demo also shows how a stream outlives its token. */
const tokenLifetimeSeconds = 900;
const folder = new URL("../../../demo/", import.meta.url);
/** The page may load scripts and styles, and open connections, from its own origin only. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/**
 * Creates the handler of the demo page at `/`. It is for `tidings dev` only, because `/demo/session` gives tokens to any
 * caller. The handler returns false, and leaves the response alone, for a request that is not its own.
 */
export async function demoPage(
  secret: string,
): Promise<(request: IncomingMessage, response: ServerResponse) => boolean> {
  const files = new Map<string, { type: string; body: string | Uint8Array }>([
    ["/", { type: "text/html; charset=utf-8", body: readFileSync(new URL("index.html", folder)) }],
    ["/demo/style.css", { type: "text/css; charset=utf-8", body: readFileSync(new URL("style.css", folder)) }],
    ["/demo/page.js", { type: "text/javascript; charset=utf-8", body: await pageScript() }],
  ]);
  return (request, response) => {
    const [path = ""] = (request.url ?? "").split("?", 1);
    const file = files.get(path);
    if (!file && path !== "/demo/session") return false;
    const headers = {
      "content-security-policy": policy,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    };
    if (request.method !== "GET" && request.method !== "HEAD")
      response.writeHead(405, { ...headers, allow: "GET, HEAD" }).end();
    else if (file) response.writeHead(200, { ...headers, "content-type": file.type }).end(file.body);
    else if (!isLocalHost(request.headers.host))
      response.writeHead(403, headers).end("open the page by its IP address\n");
    else {
      void mintDemoTokens(secret, tokenLifetimeSeconds, Math.floor(Date.now() / 1000)).then((tokens) => {
        const body = JSON.stringify(Object.fromEntries(tokens));
        response.writeHead(200, { ...headers, "content-type": "application/json" }).end(body);
      });
    }
    return true;
  };
}

/**
 * Whether the Host header is an IP address or localhost. A malicious page can point its own host name at this server (DNS
 * rebinding), and would then read the tokens as if they were of its own origin.
 */
function isLocalHost(host = ""): boolean {
  const name = host.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  return name === "localhost" || isIP(name) !== 0;
}

/** The script of the page. The published package contains it bundled; a checkout bundles it here. */
async function pageScript(): Promise<string | Uint8Array> {
  const bundled = new URL("page.js", folder);
  if (existsSync(bundled)) return readFileSync(bundled);
  const { build } = await import("esbuild");
  const entry = fileURLToPath(new URL("page.ts", folder));
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    write: false,
  });
  return outputFiles[0]?.contents ?? "";
}
