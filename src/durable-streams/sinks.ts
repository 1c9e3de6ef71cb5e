/** What the two live answers write: one page for a long poll, and events for as long as the reader stays. */
import type { ServerResponse } from "node:http";
import type { Writable } from "node:stream";
import type { ConnectError } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { retryAfterOf } from "../errors.ts";
import { isGone } from "../http/exchange.ts";
import { formatOffset } from "../stream/feed-offset.ts";
import type { FeedSink, FeedState } from "../stream/feed-stream.ts";
import { messageJson } from "../wire/formats.ts";
import type { MessageFrame } from "../wire/frame.ts";
import { drained, highWater } from "../wire/socket-sink.ts";
import { type Answering, noStore, positionHeaders, revalidate, sendEmpty, sendPage, writeHead } from "./answers.ts";

/** What is special about one live answer. */
export interface LiveAnswer extends Answering {
  /** Returns the `Stream-Cursor` of an answer that is sent now. */
  cursor(): string;
  /** Called when the answer is complete. */
  done(): void;
}

/** Waits for messages, and answers with those that come first. */
export class LongPollSink implements FeedSink {
  readonly queued = 0;
  readonly #answer: LiveAnswer;

  constructor(answer: LiveAnswer) {
    this.#answer = answer;
  }

  write(frames: readonly MessageFrame[], state: FeedState): boolean {
    if (frames.length === 0) return true;
    const page = { ...state, messages: frames.map((frame) => frame.encoded(messageJson)) };
    // Nobody awaits the body, and a rejection that nobody takes would end the process.
    sendPage(this.#answer, page, this.#answer.cursor(), undefined)?.catch(() => this.#answer.response.destroy());
    this.#answer.done();
    return true;
  }

  beat(state: FeedState): boolean {
    const headers = positionHeaders(state, true, this.#answer.cursor());
    sendEmpty(this.#answer, 204, { ...headers, "Cache-Control": noStore });
    this.#answer.done();
    return true;
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }
}

/**
 * Sends each batch of messages as an event `data`, followed by an event `control` with the reader's new position. Both have that
 * position as their id, which an EventSource sends back when it reconnects.
 */
export class EventSink implements FeedSink {
  readonly #answer: LiveAnswer;
  #isOpen = false;

  constructor(answer: LiveAnswer) {
    this.#answer = answer;
  }

  /** Whether events may follow, so that an error is no answer any more. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  write(frames: readonly MessageFrame[], state: FeedState): boolean {
    const id = `id: ${formatOffset(state)}\n`;
    if (frames.length === 0) return this.#send([Buffer.from(this.#control(state))]);
    const messages = frames.flatMap((frame, index) => {
      const json = frame.encoded(messageJson);
      return index === 0 ? [json] : [comma, json];
    });
    return this.#send([
      Buffer.from(`${id}event: data\ndata:[`),
      ...messages,
      Buffer.from(`]\n\n${this.#control(state)}`),
    ]);
  }

  beat(state: FeedState): boolean {
    return this.#send([Buffer.from(this.#control(state))]);
  }

  /** Ends the answer with an error, and with the delay after which an EventSource reconnects. */
  end(error: ConnectError, state: FeedState): void {
    if (isGone(this.#answer.response)) return;
    const afterMs = retryAfterOf(error);
    const retry = afterMs === undefined ? "" : `retry: ${Math.ceil(afterMs)}\n`;
    this.#answer.response.end(`${retry}${this.#control({ ...state, isUpToDate: false }, error)}`);
  }

  get queued(): number {
    return this.#writable.writableLength;
  }

  drained(): Promise<void> {
    return drained(this.#writable);
  }

  #control(state: FeedState, error?: ConnectError): string {
    const offset = formatOffset(state);
    const control = {
      streamNextOffset: offset,
      streamCursor: this.#answer.cursor(),
      ...(state.isUpToDate ? { upToDate: true } : {}),
      ...(error ? { error: errorToJson(error, undefined) } : {}),
    };
    return `id: ${offset}\nevent: control\ndata:${JSON.stringify(control)}\n\n`;
  }

  #send(parts: readonly Buffer[]): boolean {
    const { response } = this.#answer;
    if (isGone(response) || response.writableEnded) return true;
    if (!this.#isOpen) {
      this.#isOpen = true;
      const headers = { "Content-Type": "text/event-stream", "Cache-Control": revalidate, "X-Accel-Buffering": "no" };
      writeHead(this.#answer, 200, headers);
    }
    response.write(Buffer.concat(parts));
    return this.queued < highWater;
  }

  /** The layer for HTTP/2 is no Writable, but the stream below it is. */
  get #writable(): Writable {
    const { response } = this.#answer;
    return "stream" in response ? (response as ServerResponse & { stream: Writable }).stream : response;
  }
}

const comma = Buffer.from(",");
