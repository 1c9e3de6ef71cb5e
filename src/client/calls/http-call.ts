/** Requests of the Connect protocol over fetch. Source: https://connectrpc.com/docs/protocol */
import { errorFromResponse } from "./wire-error.ts";

/** The part of `fetch` that the client uses. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/**
 * Posts the request of a method. Throws a TidingsError unless the response is successful and has the content type of
 * the request.
 */
export type Post = (
  method: string,
  contentType: string,
  body: string | Uint8Array<ArrayBuffer>,
  token: string,
  signal: AbortSignal,
) => Promise<Response>;

/** Posts to the server at this URL. */
export function postTo(baseUrl: string, fetcher: Fetch): Post {
  return async (method, contentType, body, token, signal) => {
    const response = await fetcher(`${baseUrl}/tidings.v1.PushService/${method}`, {
      method: "POST",
      // After a redirect the request would lack its body or its credential.
      redirect: "error",
      headers: { authorization: `Bearer ${token}`, "content-type": contentType, "connect-protocol-version": "1" },
      body,
      signal,
    });
    // A charset may follow.
    if (response.ok && response.headers.get("content-type")?.startsWith(contentType)) return response;
    throw await errorFromResponse(response);
  };
}
