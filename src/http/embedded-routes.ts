/** Connect routes for the server of another program, which knows nothing of CORS, proxies and probes. */
import type { ConnectRouter } from "@connectrpc/connect";
import { answerCors, isOriginAllowed } from "./cors.ts";

type Handler = ConnectRouter["handlers"][number];
type Universal = Parameters<Handler>[0];
type Answer = Awaited<ReturnType<Handler>>;

/** Headers of every response: each is for one caller only, and a proxy must not transform it. */
export const responseHeaders: Readonly<Record<string, string>> = {
  "Cache-Control": "private, no-store, no-transform",
};
/** Headers of the response of a stream, which a proxy must not buffer either. */
export const streamHeaders: Readonly<Record<string, string>> = { ...responseHeaders, "X-Accel-Buffering": "no" };

/** What embedded routes need beside the services. */
export interface EmbeddedRoutesOptions {
  /** Registers the services. */
  readonly routes: (router: ConnectRouter) => void;
  /** Origins whose pages may call; `*` is all. Beside them, only the host of the request is known here. */
  readonly allowedOrigins: readonly string[];
  /** The paths of the probes. */
  readonly probes: readonly string[];
  /** Why a probe fails; undefined if it does not. */
  readonly problem: (path: string) => string | undefined;
}

/** Wraps routes, so that their responses have the headers of the server's own port, preflights included. */
export function embeddedRoutes(options: EmbeddedRoutesOptions): (router: ConnectRouter) => void {
  return (router) => {
    // The program may have registered services of its own, which stay as they are.
    const first = router.handlers.length;
    options.routes(router);
    for (const [index, handler] of router.handlers.entries()) {
      if (index >= first) router.handlers[index] = wrap(handler, options.allowedOrigins);
    }
    const [model] = router.handlers.slice(first);
    if (model) router.handlers.push(...options.probes.map((path) => probe(path, model, options.problem)));
  };
}

/** A probe in the form of a handler, whose other properties, such as the service, are those of any other handler. */
function probe(requestPath: string, model: Handler, problem: EmbeddedRoutesOptions["problem"]): Handler {
  const answer = async (): Promise<Answer> => {
    const found = problem(requestPath);
    const header = new Headers({ "Content-Type": "text/plain", "Cache-Control": "no-store" });
    return { status: found ? 503 : 200, header, body: once(`${found ?? "ok"}\n`) };
  };
  return Object.assign(answer, model, { requestPath });
}

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text);
}

function wrap(handler: Handler, allowedOrigins: readonly string[]): Handler {
  const headers = handler.method.methodKind === "unary" ? responseHeaders : streamHeaders;
  const wrapped = async (request: Universal): Promise<Answer> => {
    const origin = request.header.get("origin");
    if (origin === null) return withHeaders(await handler(request), headers);
    const isGranted = isOriginAllowed(origin, [hostOf(request)], allowedOrigins);
    const isPreflight = request.method === "OPTIONS" && request.header.has("access-control-request-method");
    const cors = answerCors(origin, isGranted, isPreflight, allowedOrigins);
    const answer = cors.status === undefined ? await handler(request) : { status: cors.status };
    return withHeaders(answer, { ...headers, ...cors.headers });
  };
  return Object.assign(wrapped, handler);
}

/** The host of a request; over HTTP/2 it is in the URL alone. */
function hostOf({ header, url }: Universal): string | undefined {
  return header.get("host") ?? URL.parse(url)?.host;
}

/** Some answers of Connect are frozen and shared, so the answer is copied. */
function withHeaders(answer: Answer, added: Readonly<Record<string, string>>): Answer {
  const header = answer.header ?? new Headers();
  for (const [name, value] of Object.entries(added)) header.set(name, value);
  return { ...answer, header };
}
