/** The company's own site beside Tidings: its pages, its sessions and the actions of its backend. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { text } from "node:stream/consumers";
import { ConnectError } from "@connectrpc/connect";
import { type Example, type Push, Refusal } from "./example.ts";
import type { ServedFile } from "./pages.ts";

/** The limit of a request body, in bytes. */
const maxBodyBytes = 10_000;
/** Pages run only their own scripts, connect only to their own origin, and only the first page may frame them. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; frame-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/** The parts of a site. */
export interface SiteParts {
  readonly example: Example;
  readonly files: ReadonlyMap<string, ServedFile>;
  /** Mints a token for a user who is logged in. */
  readonly mint: (user: string) => Promise<string>;
  readonly push: Push;
}

/**
 * Handles the requests that are not for Tidings. The user is a parameter of the URL, without any login: this is an
 * example.
 */
export function createSite({ example, files, mint, push }: SiteParts) {
  const { title, about, tries, windows } = example;
  const users = new Set(windows.map(({ user }) => user).filter((user) => user !== undefined));
  const actions = example.backend(push);

  async function read(path: string, user: string): Promise<unknown> {
    if (path === "/example") return { title, about, tries, windows };
    if (path !== "/session") throw new Refusal("there is no such page");
    if (!users.has(user)) throw new Refusal("user: there is no user of this name");
    return { token: await mint(user) };
  }

  /** Only JSON is accepted: a form of a foreign page cannot send it without a preflight request. */
  async function act(path: string, user: string, request: IncomingMessage): Promise<unknown> {
    const action = path.startsWith("/api/") ? actions[path.slice("/api/".length)] : undefined;
    if (!action || request.headers["content-type"] !== "application/json") throw new Refusal("there is no such action");
    if (!(Number(request.headers["content-length"]) <= maxBodyBytes)) throw new Refusal("the request is too large");
    return action(user, JSON.parse(await text(request)) as Record<string, string>);
  }

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const user = searchParams.get("user") ?? "";
    try {
      // A foreign page can point its own host name at this machine (DNS rebinding); it must get no token.
      if (!isLocalName(request.headers.host)) throw new Refusal("open the page by its IP address");
      const file = files.get(pathname);
      if (file) return send(response, 200, file);
      const answer = await (request.method === "POST" ? act(pathname, user, request) : read(pathname, user));
      send(response, 200, json(answer ?? {}));
    } catch (error) {
      send(response, error instanceof Refusal ? 400 : 502, json({ error: sentenceOf(error) }));
    }
  };
}

function send(response: ServerResponse, status: number, { type, body }: ServedFile): void {
  const headers = {
    "content-security-policy": policy,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  };
  response.writeHead(status, { ...headers, "content-type": type }).end(body);
}

function json(value: unknown): ServedFile {
  return { type: "application/json", body: JSON.stringify(value) };
}

function sentenceOf(error: unknown): string {
  if (error instanceof ConnectError) return error.rawMessage;
  return error instanceof Error ? error.message : String(error);
}

function isLocalName(host = ""): boolean {
  const name = host.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  return name === "localhost" || isIP(name) !== 0;
}
