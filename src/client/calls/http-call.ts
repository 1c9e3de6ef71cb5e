/** One request of the Connect protocol over fetch. Source: https://connectrpc.com/docs/protocol */
import { errorFromResponse } from "./wire-error.ts";

/** The part of `fetch` that the client uses. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** The service's part of a URL. */
export const servicePath = "tidings.v1.PushService";

/** What to send. */
export interface HttpCall {
  readonly url: string;
  readonly contentType: string;
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly headers: HeadersInit | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Posts a request. Any other answer than one of the same content type is thrown as a TidingsError. */
export async function post(fetcher: Fetch, call: HttpCall): Promise<Response> {
  const headers = new Headers(call.headers);
  headers.set("content-type", call.contentType);
  headers.set("connect-protocol-version", "1");
  const response = await fetcher(call.url, {
    method: "POST",
    // A redirected request would have lost its body or its credential.
    redirect: "error",
    headers,
    body: call.body,
    signal: call.signal ?? null,
  });
  const type = response.headers.get("content-type")?.split(";", 1)[0];
  if (response.ok && type === call.contentType) return response;
  throw await errorFromResponse(response);
}
