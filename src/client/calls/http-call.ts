/** One request of the Connect protocol over fetch. Source: https://connectrpc.com/docs/protocol */
import { errorFromResponse } from "./wire-error.ts";

/** The part of `fetch` that the client uses. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** The path of the service in a URL. */
export const servicePath = "tidings.v1.PushService";

/** A request. */
export interface HttpCall {
  readonly url: string;
  readonly contentType: string;
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly headers: HeadersInit | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Posts a request. Throws a TidingsError unless the response is successful and has the content type of the request. */
export async function post(fetcher: Fetch, call: HttpCall): Promise<Response> {
  const headers = new Headers(call.headers);
  headers.set("content-type", call.contentType);
  headers.set("connect-protocol-version", "1");
  const response = await fetcher(call.url, {
    method: "POST",
    // After a redirect the request would lack its body or its credential.
    redirect: "error",
    headers,
    body: call.body,
    signal: call.signal ?? null,
  });
  const type = response.headers.get("content-type")?.split(";", 1)[0];
  if (response.ok && type === call.contentType) return response;
  throw await errorFromResponse(response);
}
