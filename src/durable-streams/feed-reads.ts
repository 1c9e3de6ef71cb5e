/**
 * Feeds for plain HTTP, at /stream: reading by the Durable Streams protocol (github.com/durable-streams/durable-streams), version
 * 1.0, in its JSON mode. Each message of a feed is one message of the stream, in Protobuf's JSON.
 */
import type { IncomingMessage } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import { SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { type Identity, isUser } from "../auth/identity.ts";
import type { Core } from "../core/core.ts";
import { fail } from "../errors.ts";
import { followedFeeds, type NamedFeed } from "../feeds/feed.ts";
import type { Exchange, PathHandler } from "../http/adapter.ts";
import type { CorsRules } from "../http/cors.ts";
import { isGone } from "../http/exchange.ts";
import type { FeedBounds } from "../ports/store.ts";
import { requireRoom, roomFeed } from "../rooms/grants.ts";
import type { FeedRequest } from "../stream/feed-log.ts";
import { readFeedPage } from "../stream/feed-page.ts";
import { FeedStream } from "../stream/feed-stream.ts";
import { tenantKey } from "../util/keys.ts";
import { type Answering, noStore, positionHeaders, sendEmpty, sendError, sendJson, sendPage } from "./answers.ts";
import { isFromOwnPage, tokenOf } from "./credentials.ts";
import { nextCursor } from "./cursor.ts";
import { type FeedPath, feedPathOf, parametersOf, type ReadQuery, readQuery } from "./request.ts";
import { EventSink, type LiveAnswer, LongPollSink } from "./sinks.ts";

const requestIdPattern = /^[\w.:-]{1,64}$/;
/** Headers that pages send and read beside those of all calls. */
const requestHeaders = ["If-None-Match", "Last-Event-ID", "Cache-Control"];
const responseHeaders = ["Stream-Next-Offset", "Stream-Up-To-Date", "Stream-Cursor", "ETag", "Retry-After"];
const nothing = Buffer.from("[]");

/** Serves the feeds. */
export class FeedReads implements PathHandler {
  readonly name = "feed";
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  serves({ url = "" }: IncomingMessage): boolean {
    return this.#core.context.settings.durableStreams && feedPathOf(url) !== undefined;
  }

  /** Returns what CORS has to allow to pages that read a feed; undefined for another request. */
  cors(request: IncomingMessage): CorsRules | undefined {
    if (!this.serves(request)) return undefined;
    const { settings } = this.#core.context;
    const credentials = settings.auth.cookie !== undefined && isFromOwnPage(request, settings);
    return { requestHeaders, responseHeaders, credentials };
  }

  async serve(exchange: Exchange): Promise<void> {
    const { request, response, unread } = exchange;
    const given = String(request.headers["x-request-id"] ?? "");
    const requestId = requestIdPattern.test(given) ? given : this.#core.context.newId();
    const answering: Answering = { response, unread, requestId };
    try {
      await this.#answer(exchange, answering);
    } catch (thrown) {
      await sendError(answering, this.#failed(thrown, answering));
    }
  }

  async #answer(exchange: Exchange, answering: Answering): Promise<void> {
    const { method = "", url = "", headers } = exchange.request;
    const path = feedPathOf(url) as FeedPath;
    if (method !== "GET" && method !== "HEAD") {
      throw fail("PROTOCOL_UNSUPPORTED", "feeds are read by GET and HEAD; publish to write");
    }
    const token = tokenOf(exchange.request, this.#core.context.settings);
    const parameters = parametersOf(url);
    const isStream = method === "GET" && parameters.get("live") === "sse";
    const identity = await this.#authenticate(token, isStream, exchange);
    const query = readQuery(parameters, path, headers["last-event-id"] as string | undefined);
    this.#core.validate(SubscribeRequestSchema, query.request);
    const feed = await this.#feedOf(identity, path, query);
    if (isGone(answering.response)) return;
    const request: FeedRequest = { feed, start: query.start, filter: query.request };
    if (method === "HEAD") return this.#head(answering, feed);
    if (query.mode === "catch-up") return this.#page(exchange, answering, identity, request, query);
    this.#live(exchange, answering, identity, request, query);
  }

  /** A long poll counts as a call, not as a new stream, because its reader opens one after the other. */
  async #authenticate(token: string | undefined, isStream: boolean, { handle }: Exchange): Promise<Identity> {
    const { admit, authenticate, context } = this.#core;
    const identity = await (isStream ? admit(token, handle.address()) : authenticate(token));
    if (!isStream) context.limits.call(identity);
    if (isUser(identity)) handle.user = tenantKey(identity.tenant, identity.subject);
    return identity;
  }

  /** The feed that a path names to the caller, by the rules of Subscribe. A room is read without entering it. */
  async #feedOf(identity: Identity, path: FeedPath, { request }: ReadQuery): Promise<NamedFeed> {
    if (path.room === undefined) {
      const feed = followedFeeds(identity).find(({ name }) => name === path.name);
      if (feed) return feed;
      if (path.name === "user") throw fail("ROLE_FORBIDDEN", "only users have a feed of their own");
    }
    if (identity.tenant === undefined) {
      throw fail("TENANT_REQUIRED", "the token is bound to no tenant; send one of the tenant that has the feed");
    }
    const room = requireRoom(request.rooms[0]?.roomId ?? "", "room_id");
    await this.#core.context.access.check(identity, room, "join", "room_id");
    return roomFeed(identity.tenant, room);
  }

  async #head(answering: Answering, feed: NamedFeed): Promise<void> {
    const [bounds] = await this.#core.context.store.bounds([feed.key]);
    const headers = { "Cache-Control": noStore, "Content-Type": "application/json" };
    sendEmpty(answering, 200, { ...headers, ...positionHeaders(bounds as FeedBounds, false) });
  }

  async #page(
    { request: { headers }, response, handle }: Exchange,
    answering: Answering,
    identity: Identity,
    request: FeedRequest,
    query: ReadQuery,
  ): Promise<void> {
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    await handle.enter(gone);
    if (gone.signal.aborted) return;
    const page = await readFeedPage(this.#core.context, identity, request);
    const cursor = this.#cursor(query);
    // The end of a feed moves with each message, so no cache must keep the answer.
    if (request.start === "now") {
      const position = positionHeaders(page, true, cursor);
      await sendJson(answering, 200, { ...position, "Cache-Control": noStore }, nothing);
      return;
    }
    await sendPage(answering, page, cursor, headers["if-none-match"]);
  }

  #live({ handle }: Exchange, answering: Answering, identity: Identity, request: FeedRequest, query: ReadQuery): void {
    const isPoll = query.mode === "long-poll";
    const transport = isPoll ? "long-poll" : "sse";
    const cut = () => handle.destroy();
    const stream = new FeedStream(this.#core.context, identity, request, { transport, cut });
    const answer: LiveAnswer = { ...answering, cursor: () => this.#cursor(query), done: () => stream.close() };
    // The end of this answer, not of its connection, which may carry further requests.
    answering.response.on("close", () => stream.close());
    const events = new EventSink(answer);
    stream.start(isPoll ? new LongPollSink(answer) : events, (thrown) => {
      const error = this.#failed(thrown, answering);
      if (events.isOpen) events.end(error, stream.state);
      // A long poll closes its stream once it is answered, while the body may still be on its way.
      else if (!answering.response.headersSent) sendError(answering, error)?.catch(() => answering.response.destroy());
    });
  }

  #cursor({ cursor }: ReadQuery): string {
    const { clock, random } = this.#core.context.settings;
    return nextCursor(clock.now(), cursor, random);
  }

  /** Returns the error that the caller gets, which is counted, and logged where its cause lies here. */
  #failed(thrown: unknown, { requestId }: Answering): ConnectError {
    const error = thrown instanceof ConnectError ? thrown : fail("INTERNAL", "internal error", { cause: thrown });
    const { counters, settings } = this.#core.context;
    const logger = settings.logger?.child({ requestId });
    if (error.code === Code.Internal) logger?.error({ err: error.cause ?? error }, "reading a feed failed");
    else if (error.code === Code.Unavailable && error.cause)
      logger?.warn({ err: error.cause }, "reading a feed failed");
    counters.failed(error);
    return error;
  }
}
