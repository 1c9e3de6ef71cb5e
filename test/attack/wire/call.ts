/** Calls of an attacker by Connect over HTTP/1.1, with any body. */
import type { Answers } from "../answers.ts";
import type { Attacker } from "../attack.ts";

/** A call; all parts but the method have defaults. */
export interface CallOptions {
  /** The path of the method below its server, such as `tidings.v1.PushService/Publish`; PushService may be left out. */
  readonly method: string;
  /** Bytes are sent as they are, and anything else as JSON. Default `{}`. */
  readonly body?: unknown;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A response. */
export interface Response {
  readonly status: number;
  readonly reason: string | undefined;
  readonly retryMs: number | undefined;
  /** The body, if it is JSON. */
  readonly json: Record<string, unknown>;
  readonly bytes: number;
}

/** An error in Connect's JSON. */
interface ErrorBody {
  readonly details?: readonly { readonly debug?: { readonly reason?: string; readonly retryDelay?: string } }[];
}

/** Sends a call, and returns its response without counting it. Rejects when the connection breaks. */
export async function call({ url }: { readonly url: string }, options: CallOptions): Promise<Response> {
  const { method, body = {}, token, headers } = options;
  const path = method.includes("/") ? method : `tidings.v1.PushService/${method}`;
  const isRaw = typeof body === "string" || body instanceof Uint8Array;
  const response = await fetch(`${url}/${path}`, {
    method: "POST",
    headers: {
      "content-type": typeof body !== "string" && isRaw ? "application/proto" : "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: isRaw ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body),
  });
  const text = await response.text();
  const json = text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: response.status, ...refusalOf(json), json, bytes: text.length };
}

/** The reason and the retry delay of an error in JSON. */
export function refusalOf(json: object): { reason: string | undefined; retryMs: number | undefined } {
  const details = ((json as ErrorBody).details ?? []).map(({ debug }) => debug);
  const delay = details.find((detail) => detail?.retryDelay !== undefined)?.retryDelay;
  return {
    reason: details.find((detail) => detail?.reason !== undefined)?.reason,
    retryMs: delay === undefined ? undefined : Number.parseFloat(delay) * 1000,
  };
}

/** Sends a call and counts its answer: by the reason of an error, or else by the status. */
export async function callAndCount(attacker: Attacker, options: CallOptions): Promise<Response | undefined> {
  const response = await call(attacker, options).catch(() => undefined);
  count(attacker.answers, response);
  return response;
}

/** Counts a response, or a connection that broke. */
export function count(answers: Answers, response: Response | undefined): void {
  if (response === undefined) answers.add("connection cut");
  else answers.add(response.reason ?? `status ${response.status}`, response.retryMs);
}

/** Sends a call of a preparation, which has to succeed. */
export async function mustCall(target: { readonly url: string }, options: CallOptions): Promise<Response> {
  const response = await call(target, options);
  if (response.status !== 200) throw new Error(`${options.method} was refused: ${JSON.stringify(response.json)}`);
  return response;
}
