import { Session, type SessionOptions } from "../../src/client/connection/session.ts";
import type { OpenStream, StreamEvent, StreamRequest, StreamSink } from "../../src/client/events.ts";
import { RoomJoins } from "../../src/client/state/rooms.ts";
import { type ErrorCode, type ErrorExtras, TidingsError } from "../../src/client/tidings-error.ts";
import { FakeClock, settled } from "./fake-clock.ts";

/** The messages of these tests are texts. */
export type Text = string;

/** The server's end of one stream. */
export class FakeStream {
  dropped = false;
  /** The number of probes; undefined for a transport that has none. */
  probes: number | undefined;
  readonly request: StreamRequest;
  readonly #sink: StreamSink<Text>;

  constructor(request: StreamRequest, sink: StreamSink<Text>) {
    this.request = request;
    this.#sink = sink;
  }

  /** Sends events, until the client drops the stream. */
  send(...events: StreamEvent<Text>[]): void {
    for (const event of events) if (!this.dropped) this.#sink.event(event);
  }

  /** Ends the stream. */
  end(code: ErrorCode, extras: ErrorExtras = {}): void {
    if (!this.dropped) this.#sink.end(new TidingsError(code, code, extras));
  }
}

/** A Hello with a heartbeat interval of 25 s and nothing else. */
export const hello = (extra: Partial<StreamEvent<Text> & { type: "hello" }> = {}): StreamEvent<Text> => ({
  type: "hello",
  subscriptionId: "s",
  heartbeatInterval: 25_000,
  unread: undefined,
  online: undefined,
  positions: [],
  ...extra,
});

/** A CaughtUp. */
export const caughtUp: StreamEvent<Text> = { type: "caughtUp", positions: [] };

/** A NOTIFICATION in the user's feed. */
export const message = (seq: number, category = "", epoch = 1): StreamEvent<Text> => ({
  type: "message",
  message: `m${seq}`,
  position: { feed: "user", epoch, seq: String(seq) },
  category,
  notification: true,
});

/** A position in the user's feed. */
export const positionAt = (seq: number, epoch = 1) => ({ feed: "user", epoch, seq: String(seq) });

/**
 * A session with fake streams and a fake clock. `fraction` is 0.5, so that the first back-off delay is 250 ms. `probes`:
 * the streams can be probed.
 */
export function fakeSession({ probes = false, ...options }: Partial<SessionOptions<Text>> & { probes?: boolean } = {}) {
  const clock = new FakeClock();
  const streams: FakeStream[] = [];
  const open: OpenStream<Text> = (request, sink) => {
    const stream = new FakeStream(request, sink);
    streams.push(stream);
    stream.probes = probes ? 0 : undefined;
    return {
      drop() {
        stream.dropped = true;
      },
      probe() {
        if (stream.probes !== undefined) stream.probes += 1;
        return probes;
      },
    };
  };
  const session = new Session<Text>({
    open,
    token: () => "token",
    storage: undefined,
    rooms: new RoomJoins(),
    queueLimit: 1_000,
    clock,
    random: { fraction: () => 0.5 },
    ...options,
  });
  const errors: TidingsError[] = [];
  const stopErrors = session.intake.listeners.add("error", (error) => void errors.push(error));
  const messages: Text[] = [];
  session.intake.listeners.add("message", (text) => void messages.push(text));
  return {
    session,
    clock,
    streams,
    errors,
    /** Stops the collection of errors, so that nothing listens for them. */
    stopErrors,
    messages,
    /** The newest stream, after promises have settled. */
    async stream(): Promise<FakeStream> {
      await settled();
      const last = streams.at(-1);
      if (last === undefined || last.dropped) throw new Error(`no stream is open: ${session.state.value}`);
      return last;
    },
  };
}
