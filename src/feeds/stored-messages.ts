import type { Logger } from "pino";
import type { Message } from "../../gen/tidings/v1/message_pb.ts";
import type { Entry, FeedKey } from "../ports/store.ts";
import { LruCache } from "../util/lru.ts";
import { decodeMessage, MessageFrame } from "../wire/frame.ts";
import type { ReportUnencodable } from "../wire/unencodable.ts";
import type { NamedFeed } from "./feed.ts";

/** The most ids of damaged messages that are remembered, so that each is logged once. */
const maxReported = 10_000;

/**
 * Decodes stored messages. A body that cannot be decoded, such as one that the disk has damaged, is logged with its id and
 * left out by all readers: an error would come back with every repetition of the request, and end each stream again.
 */
export class StoredMessages {
  /** Called with messages that a codec cannot encode. */
  readonly reportUnencodable: ReportUnencodable | undefined;
  readonly #logger: Logger | undefined;
  readonly #reported = new LruCache<string, true>({ entries: maxReported });

  constructor(logger: Logger | undefined, reportUnencodable?: ReportUnencodable) {
    this.#logger = logger;
    this.reportUnencodable = reportUnencodable;
  }

  /** Decodes a message with its position; undefined if it cannot be decoded. */
  decode({ name, key }: NamedFeed, entry: Entry): Message | undefined {
    return this.#try(key, entry, () =>
      decodeMessage(entry.body, { feed: name, epoch: entry.epoch, seq: String(entry.seq) }),
    );
  }

  /** Makes the frame of a message; undefined if the message cannot be decoded. */
  frame({ name, key }: NamedFeed, entry: Entry): MessageFrame | undefined {
    const { body, expireTime, id, seq, epoch } = entry;
    const stored = { id, seq, position: { feed: name, epoch, seq: String(seq) } };
    const frame = new MessageFrame(body, expireTime, stored, this.reportUnencodable);
    const message = this.#try(key, entry, () => frame.message);
    if (message === undefined) return undefined;
    // Many frames wait in a page of history: keep of each what readers ask about it, and not the decoded message.
    void frame.summary;
    frame.release();
    return frame;
  }

  #try(feed: FeedKey, { id, seq }: Entry, decode: () => Message): Message | undefined {
    try {
      return decode();
    } catch (err) {
      if (!this.#reported.get(id)) {
        const details = { err, messageId: id, tenant: feed.tenant, feed: feed.name, seq };
        this.#logger?.error(details, "a stored message cannot be decoded; readers skip it");
      }
      this.#reported.set(id, true);
      return undefined;
    }
  }
}
