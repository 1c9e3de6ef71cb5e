import type { Identity } from "../auth/identity.ts";
import { messageJson } from "../wire/formats.ts";
import type { StreamContext } from "./context.ts";
import { FeedLog, type FeedRequest } from "./feed-log.ts";
import { type FeedPosition, positionGone } from "./feed-offset.ts";

/** Bytes of messages after which a page ends; a message that is larger is alone on its page. */
const maxBytes = 1024 * 1024;
/** The most messages on a page. */
const maxMessages = 1000;

/** The next messages of a feed. */
export interface FeedPage extends FeedPosition {
  /** The JSON of each message, oldest first. The buffers are shared: do not change them. */
  readonly messages: readonly Buffer[];
  /** Whether the feed had nothing more when it was read. */
  readonly isUpToDate: boolean;
}

/** The stream of a log that is read once, which nothing has to wake. */
const noStream = { wake: () => {}, recalled: () => {} };

/**
 * Reads the messages after the start of a request: about 1 MiB, and at most 1,000. Rejects with POSITION_GONE where those right
 * after the start are gone, with POSITION_IN_FUTURE, and as the Store does.
 */
export async function readFeedPage(
  context: StreamContext,
  identity: Identity,
  request: FeedRequest,
): Promise<FeedPage> {
  const log = new FeedLog(context, identity, request, noStream);
  try {
    return await read(context, log);
  } finally {
    log.close();
  }
}

async function read(context: StreamContext, log: FeedLog): Promise<FeedPage> {
  const { bounds, gapTo } = await log.start();
  if (gapTo) throw positionGone(gapTo);
  const { epoch } = bounds;
  const messages: Buffer[] = [];
  let bytes = 0;
  let { seq } = log;
  for await (const batch of log.replay(bounds.seq)) {
    if (batch.gapTo) {
      if (messages.length === 0) throw positionGone(batch.gapTo);
      return { messages, epoch, seq, isUpToDate: false };
    }
    for (const frame of batch.frames) {
      const json = frame.encoded(messageJson);
      const isFull = messages.length >= maxMessages || bytes + json.length > maxBytes;
      if (isFull && messages.length > 0) return { messages, epoch, seq, isUpToDate: false };
      messages.push(json);
      bytes += json.length;
      seq = frame.seq;
      context.streams.delivered++;
    }
    seq = log.seq;
  }
  return { messages, epoch, seq: log.seq, isUpToDate: log.seq >= bounds.seq };
}
