/** A reader of one feed, without a transport. */
import { create } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Identity } from "../../src/auth/identity.ts";
import type { NamedFeed } from "../../src/feeds/feed.ts";
import type { StreamContext } from "../../src/stream/context.ts";
import type { FeedRequest, FeedStart } from "../../src/stream/feed-log.ts";
import { type FeedSink, type FeedState, FeedStream } from "../../src/stream/feed-stream.ts";
import type { MessageFrame } from "../../src/wire/frame.ts";

/** The request of a reader that wants every message. */
export function feedRequest(feed: NamedFeed, start: FeedStart): FeedRequest {
  return { feed, start, filter: create(SubscribeRequestSchema) };
}

/** Records the messages and positions of a reader of one feed. */
export class TestFeedSink implements FeedSink {
  readonly queued = 0;
  readonly ids: string[] = [];
  /** The position after each write. */
  readonly states: FeedState[] = [];
  beats = 0;
  /** The error that the stream has ended with. */
  error: ConnectError | undefined;
  isCut = false;
  isFull = false;
  #drained: () => void = () => {};

  /** Opens a stream. */
  static open(
    context: StreamContext,
    caller: Identity,
    request: FeedRequest,
  ): { sink: TestFeedSink; stream: FeedStream } {
    const sink = new TestFeedSink();
    const cut = () => {
      sink.isCut = true;
      sink.drain();
    };
    const stream = new FeedStream(context, caller, request, { transport: "sse", cut });
    stream.start(sink, (error) => (sink.error = error as ConnectError));
    return { sink, stream };
  }

  get last(): FeedState | undefined {
    return this.states.at(-1);
  }

  write(frames: readonly MessageFrame[], state: FeedState): boolean {
    this.ids.push(...frames.map(({ id }) => id));
    this.states.push(state);
    return !this.isFull;
  }

  beat(state: FeedState): boolean {
    this.beats++;
    this.states.push(state);
    return !this.isFull;
  }

  /** Takes everything again. */
  drain(): void {
    this.isFull = false;
    this.#drained();
  }

  drained(): Promise<void> {
    return new Promise((resolve) => (this.#drained = resolve));
  }
}
