import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { type FramePage, toFrame } from "../feeds/history.ts";
import { selectAll } from "../inbox/selection.ts";
import { eventFrame, type Frame } from "../wire/frame.ts";
import type { StreamContext } from "./context.ts";
import type { Cursor } from "./cursor.ts";
import type { Delivery } from "./delivery.ts";
import type { FollowedFeed } from "./followed-feeds.ts";

/** Frames that are sent at once. */
const batchSize = 64;

/** How a stream comes from its place in a feed to a later one: by the ring as far as it reaches, else by the Store. */
export class Replay {
  readonly #context: StreamContext;
  readonly #delivery: Delivery;
  #reading = false;

  constructor(context: StreamContext, delivery: Delivery) {
    this.#context = context;
    this.#delivery = delivery;
  }

  /** It waits for the Store. */
  get reading(): boolean {
    return this.#reading;
  }

  /** All up to `seq` and nothing beyond. */
  async *to(followed: FollowedFeed, seq: number): AsyncGenerator<readonly Frame[]> {
    const { cursor } = followed;
    while (cursor.seq < seq) {
      const { frames } = cursor.take(batchSize, seq);
      yield this.#delivery.wanted(followed, frames);
      if (frames.length > 0) continue;
      const page = await this.#read(cursor, seq);
      const gap = cursor.skipTrimmed(page.bounds);
      if (gap && followed.shown) yield [eventFrame({ case: "gap", value: gap })];
      const from = cursor.seq;
      const between = page.frames.filter((frame) => frame.seq > from && frame.seq <= seq);
      yield this.#delivery.wanted(followed, between);
      // The Store knows of nothing up to `seq` beyond this: it was told of it by the Store itself.
      if (page.through <= cursor.seq && !gap) return;
      cursor.seq = Math.max(cursor.seq, Math.min(page.through, seq));
      // What has expired is on no page.
      this.#delivery.moved(followed, cursor.seq);
    }
  }

  async #read(cursor: Cursor, seq: number): Promise<FramePage> {
    this.#reading = true;
    try {
      return await this.#context.history.read(cursor.feed, cursor.seq, seq);
    } finally {
      this.#reading = false;
    }
  }

  /** Of what is stored up to a seq, the events that are kept for those who come later. */
  async *keptEvents(followed: FollowedFeed, upTo: number): AsyncGenerator<readonly Frame[]> {
    const { feed } = followed.cursor;
    const { store, settings } = this.#context;
    const filter = { kinds: [Kind.EVENT], order: "oldest", bodies: true, limit: batchSize } as const;
    for (let after = 0; after < upTo; ) {
      const entries = await store.select({ ...selectAll(feed, [[after + 1, upTo]], settings.clock.now()), ...filter });
      const frames = entries.map((entry) => toFrame(feed.name, entry));
      yield this.#delivery.wanted(followed, frames);
      after = entries.length < batchSize ? upTo : (entries.at(-1)?.seq ?? upTo);
    }
  }
}
