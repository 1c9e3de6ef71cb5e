/** A site beside Tidings on the same port: the page, its script, and tokens for everyone. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const html = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Test page</title><link rel="icon" href="data:,">
<script type="module" src="/page.js"></script>
<p id="state"></p><p id="badge"></p><p id="room"></p><ul></ul></html>`;

/** Bundles the page as an application would. */
export async function bundlePage(): Promise<Uint8Array> {
  const entryPoints = [fileURLToPath(new URL("page.ts", import.meta.url))];
  const { outputFiles } = await build({ entryPoints, bundle: true, format: "esm", target: "es2022", write: false });
  return outputFiles[0]?.contents ?? new Uint8Array();
}

/** Creates the request handler of the site. `token` signs the token of a user. */
export function site(script: Uint8Array, token: (sub: string) => Promise<string>) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    const { pathname: path, searchParams } = new URL(request.url ?? "", "http://site");
    if (path.startsWith("/page/")) response.writeHead(200, { "content-type": "text/html" }).end(html);
    else if (path === "/page.js") response.writeHead(200, { "content-type": "text/javascript" }).end(script);
    else if (path === "/token") void token(searchParams.get("sub") ?? "").then((text) => response.end(text));
    else response.writeHead(404).end();
  };
}
