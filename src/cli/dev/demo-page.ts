import { existsSync, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { fileURLToPath } from "node:url";
import { mintToken } from "../../auth/mint-token.ts";

/** The people of the demo's company, and its backend. */
export const demoTenant = "acme";
export const demoUsers = ["ada", "bob"] as const;
export const demoService = "backend";

/** How long a page's token is good for, in seconds: short, so that the demo also shows how streams outlive tokens. */
const tokenSeconds = 900;
const folder = new URL("../../../demo/", import.meta.url);
/** The page runs only what it came with, and talks only to where it came from. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/**
 * The demo page at `/`, for the dev command only: `/demo/session` hands tokens to whoever asks. Answers false when the
 * request is not for it.
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
    const head = {
      "content-security-policy": policy,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    };
    if (request.method !== "GET" && request.method !== "HEAD")
      response.writeHead(405, { ...head, allow: "GET, HEAD" }).end();
    else if (file) response.writeHead(200, { ...head, "content-type": file.type }).end(file.body);
    else if (!isLocalName(request.headers.host)) response.writeHead(403, head).end("open the page by its IP address\n");
    else {
      void session(secret).then((tokens) => {
        response.writeHead(200, { ...head, "content-type": "application/json" }).end(JSON.stringify(tokens));
      });
    }
    return true;
  };
}

/** Whether a browser was told an address and not a name: a foreign page can point a name of its own here (DNS rebinding). */
function isLocalName(host = ""): boolean {
  const name = host.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  return name === "localhost" || isIP(name) !== 0;
}

/** One token per person, as a company's backend would mint it for who is logged in. */
async function session(secret: string): Promise<Record<string, string>> {
  const now = Math.floor(Date.now() / 1000);
  const claims = { tenant: demoTenant, exp: now + tokenSeconds };
  const people = [
    ...demoUsers.map((sub) => ({ sub, role: "user" as const })),
    { sub: demoService, role: "service" as const },
  ];
  const tokens = await Promise.all(
    people.map(async (who) => [who.sub, await mintToken(secret, { ...claims, ...who }, now)]),
  );
  return Object.fromEntries(tokens);
}

/** The package ships the script bundled; a checkout bundles it when it starts. */
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
