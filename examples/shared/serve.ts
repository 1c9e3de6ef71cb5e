/** Runs an example: Tidings in memory, the example's backend and its pages, on one port of this machine. */
import { randomBytes } from "node:crypto";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { createTidings, mintToken, type TokenClaims } from "tidings";
import { PushService } from "tidings-client/gen";
import { type Example, nameOf, type Push } from "./example.ts";
import { loadPages } from "./pages.ts";
import { createSite } from "./site.ts";

/** The company of the examples. */
const tenant = "acme";
/** The lifetime of tokens, in seconds. Pages and backends get fresh ones by themselves. */
const tokenSeconds = 900;

/** A running server. */
export interface Running {
  readonly url: string;
  /** A token for a backend. */
  readonly token: string;
  close(): Promise<void>;
}

/**
 * Starts Tidings on a port of 127.0.0.1, or on any free one for 0; with an example also its site. `folder` has its
 * pages.
 */
export async function serve(port: number, example?: Example, folder?: URL): Promise<Running> {
  const secret = randomBytes(32).toString("base64");
  const mint = (who: Pick<TokenClaims, "sub" | "role" | "name" | "rooms" | "publish" | "takeover">) =>
    mintToken(secret, { ...who, tenant, exp: Math.floor(Date.now() / 1000) + tokenSeconds });
  const mintBackend = () => mint({ sub: "backend", role: "service" });

  const files = example && folder ? await loadPages(folder) : undefined;
  const tidings = await createTidings({ data: ":memory:", auth: { secret }, drainMs: 0 });
  let site: ReturnType<typeof createSite> | undefined;
  const { url } = await tidings.listen({ port, fallback: (request, response) => void site?.(request, response) });
  if (example && files) {
    const mintUser = (sub: string) => mint({ sub, role: "user", name: nameOf(sub), ...example.grants?.(sub) });
    site = createSite({ example, files, mint: mintUser, push: connectBackend(url, mintBackend) });
  }
  return { url, token: await mintBackend(), close: () => tidings.close() };
}

/** The client of a backend: the generated code, a transport, and a token with the role `service` in each call. */
function connectBackend(url: string, token: () => Promise<string>): Push {
  const bearer: Interceptor = (next) => async (request) => {
    request.header.set("authorization", `Bearer ${await token()}`);
    return next(request);
  };
  return createClient(
    PushService,
    createConnectTransport({ baseUrl: url, httpVersion: "1.1", interceptors: [bearer] }),
  );
}
