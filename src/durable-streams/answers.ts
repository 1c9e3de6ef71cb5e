/** The answers of the Durable Streams protocol. */
import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { type Reason, reasonOf, retryAfterOf } from "../errors.ts";
import { namesTag } from "../http/entity-tag.ts";
import { isGone, type Unread, writeBody } from "../http/exchange.ts";
import { type FeedPosition, formatOffset, nextOffsetKey } from "../stream/feed-offset.ts";
import type { FeedPage } from "../stream/feed-page.ts";

/**
 * Headers of every answer. It is for one caller only, so no shared cache may keep it, and no page of another site may load it
 * by an element such as `<script>`, to which CORS does not apply.
 */
const common: Readonly<Record<string, string>> = {
  Vary: "Origin, Authorization, Cookie",
  "X-Content-Type-Options": "nosniff",
  "Cross-Origin-Resource-Policy": "same-origin",
};
/** A private cache may keep the answer, and asks each time whether it still holds: messages are recalled and deleted. */
export const revalidate = "private, no-cache, no-transform";
/** No cache may keep the answer. */
export const noStore = "private, no-store, no-transform";

/** One request being answered. */
export interface Answering {
  readonly response: ServerResponse;
  readonly unread: Unread;
  readonly requestId: string;
}

/** Begins an answer. */
export function writeHead(
  { response, requestId }: Pick<Answering, "response" | "requestId">,
  status: number,
  headers: Readonly<Record<string, string>>,
): void {
  for (const [name, value] of Object.entries({ ...common, ...headers, "X-Request-Id": requestId })) {
    response.setHeader(name, value);
  }
  response.writeHead(status);
}

/** Returns the headers with the position that the reader has now. */
export function positionHeaders(at: FeedPosition, isUpToDate: boolean, cursor?: string): Record<string, string> {
  return {
    "Stream-Next-Offset": formatOffset(at),
    ...(isUpToDate ? { "Stream-Up-To-Date": "true" } : {}),
    ...(cursor === undefined ? {} : { "Stream-Cursor": cursor }),
  };
}

/** Sends an answer with a body of JSON. */
export function sendJson(
  answering: Answering,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Promise<void> | undefined {
  if (isGone(answering.response)) return undefined;
  const length = { "Content-Length": String(body.length), "Content-Type": "application/json" };
  writeHead(answering, status, { ...headers, ...length });
  return writeBody(answering.response, body, body.length, answering.unread);
}

/** Sends an answer without a body. */
export function sendEmpty(answering: Answering, status: number, headers: Readonly<Record<string, string>>): void {
  if (isGone(answering.response)) return;
  writeHead(answering, status, headers);
  answering.response.end();
}

/** Sends a page, or only says that the caller has it already. `ifNoneMatch`: the entity tags that the caller has. */
export function sendPage(
  answering: Answering,
  page: FeedPage,
  cursor: string,
  ifNoneMatch: string | undefined,
): Promise<void> | undefined {
  const body = joinJson(page.messages);
  const position = positionHeaders(page, page.isUpToDate, cursor);
  // A digest of the content, because messages between the same positions are recalled and deleted, and expire.
  const digest = createHash("sha256")
    .update(body)
    .update(`${formatOffset(page)} ${page.isUpToDate}`);
  const headers = { ...position, ETag: `"${digest.digest("base64url")}"`, "Cache-Control": revalidate };
  if (namesTag(ifNoneMatch, headers.ETag)) {
    sendEmpty(answering, 304, headers);
    return undefined;
  }
  return sendJson(answering, 200, headers, body);
}

/** An array of messages that are JSON already. */
function joinJson(messages: readonly Buffer[]): Buffer {
  return Buffer.concat([open, ...messages.flatMap((json, index) => (index === 0 ? [json] : [comma, json])), close]);
}

const open = Buffer.from("[");
const comma = Buffer.from(",");
const close = Buffer.from("]");

/** Statuses that say more to readers of HTTP than those of the errors' codes. */
const statuses: Partial<Record<Reason, number>> = { POSITION_GONE: 410, PROTOCOL_UNSUPPORTED: 405 };

/** Sends an error as a unary call of Connect does. */
export function sendError(answering: Answering, error: ConnectError): Promise<void> | undefined {
  const reason = reasonOf(error);
  const afterMs = retryAfterOf(error);
  const headers = {
    "Cache-Control": noStore,
    ...(reason === "POSITION_GONE" ? { "Stream-Next-Offset": nextOffsetOf(error) } : {}),
    ...(reason === "PROTOCOL_UNSUPPORTED" ? { Allow: "GET, HEAD, OPTIONS" } : {}),
    ...(afterMs === undefined ? {} : { "Retry-After": String(Math.ceil(afterMs / 1000)) }),
  };
  const status = (reason && statuses[reason]) ?? codeToHttpStatus(error.code);
  return sendJson(answering, status, headers, errorToJsonBytes(error, undefined));
}

function nextOffsetOf(error: ConnectError): string {
  return error.findDetails(ErrorInfoSchema)[0]?.metadata[nextOffsetKey] ?? "";
}
