/** The feeds over plain HTTP, GET /stream/…, in OpenAPI. */
import { errorStatuses, goneStatus } from "./errors.ts";
import type { Schema } from "./schemas.ts";

const text = { type: "string" };
const listOf = (items: Schema) => ({ type: "array", items });

/** The paths of the feeds. `docs` is the URL of the guides. */
export function feedPaths(docs: string): Readonly<Record<string, Schema>> {
  const feed = {
    name: "feed",
    in: "path",
    required: true,
    description: "The user's own feed; the broadcasts of the tenant; its activities; or the broadcasts to all tenants.",
    schema: { type: "string", enum: ["user", "tenant", "activity", "everyone"] },
  };
  const room = {
    name: "roomId",
    in: "path",
    required: true,
    description: "The room, which the caller must be allowed to enter.",
    schema: { type: "string", minLength: 1, maxLength: 320 },
  };
  const guide = `The protocol is Durable Streams, for reading; ${docs}/streams.md says more.`;
  return {
    "/stream/{feed}": { get: read("readFeed", "Reads a feed", feed, guide) },
    "/stream/room/{roomId}": { get: read("readRoom", "Reads the feed of a room, without entering it", room, guide) },
  };
}

function read(operationId: string, summary: string, path: Schema, guide: string): Schema {
  const errors = [...errorStatuses, goneStatus].map((status) => [
    status,
    { $ref: `#/components/responses/Error${status}` },
  ]);
  return {
    operationId,
    tags: ["Feeds"],
    summary,
    description: `${summary}: the stored messages after an offset, oldest first. ${guide}`,
    parameters: [path, ...query],
    responses: {
      200: {
        description: "Messages, up to 1,000 and 1 MiB; or, with `live=sse`, events that do not end.",
        headers,
        content: {
          "application/json": { schema: listOf({ $ref: "#/components/schemas/Message" }) },
          "text/event-stream": { schema: text },
        },
      },
      204: { description: "A long poll has waited long enough, and nothing came.", headers },
      304: { description: "The answer is the one that If-None-Match names." },
      ...Object.fromEntries(errors),
    },
  };
}

const query: readonly Schema[] = [
  {
    name: "offset",
    in: "query",
    description:
      "`-1`, or none: from the oldest message that is kept. `now`: only what comes later. Otherwise the Stream-Next-Offset of an earlier answer.",
    schema: text,
  },
  {
    name: "live",
    in: "query",
    description: "Waits for messages, or sends all that come as server-sent events. Needs an offset.",
    schema: { type: "string", enum: ["long-poll", "sse"] },
  },
  { name: "cursor", in: "query", description: "The Stream-Cursor of the last answer.", schema: text },
  {
    name: "kinds",
    in: "query",
    description: "Only messages of these kinds.",
    schema: { ...listOf({ $ref: "#/components/schemas/Kind" }), maxItems: 3 },
  },
  {
    name: "categories",
    in: "query",
    description: "Only messages of these categories.",
    schema: { ...listOf({ type: "string", maxLength: 64 }), maxItems: 100 },
  },
  {
    name: "events",
    in: "query",
    description: "Only messages of these event names.",
    schema: { ...listOf({ type: "string", minLength: 1, maxLength: 128 }), maxItems: 100 },
  },
];

const headers = {
  "Stream-Next-Offset": { description: "The position after the answer.", schema: text },
  "Stream-Up-To-Date": { description: "`true` where there was nothing more.", schema: text },
  "Stream-Cursor": { description: "To be sent back as `cursor`.", schema: text },
};
