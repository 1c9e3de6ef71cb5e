/** Subscribe over the WebSocket bridge, in the form of its codec. */

import { errorFromClose, errorFromThrown } from "../calls/wire-error.ts";
import type { OpenStream, StreamEvent, StreamRequest } from "../events.ts";
import { sentenceOf, TidingsError } from "../tidings-error.ts";

/** The part of a WebSocket that the client uses: the browser's, Node's (22 and later), or that of the package `ws`. */
export interface Socket {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(): void;
}

/** The constructor of a Socket. */
export type SocketConstructor = new (url: string, protocols: string[]) => Socket;

/** Encodes and decodes the frames of the bridge. */
export interface FrameCodec<M> {
  /** The subprotocol of the WebSocket: `tidings.v1.proto` or `tidings.v1.json`. */
  readonly subprotocol: string;
  /** Encodes the first frame. */
  encode(request: StreamRequest): string | Uint8Array<ArrayBuffer>;
  /** Decodes one event. Throws if the data is none. */
  decode(data: unknown): StreamEvent<M>;
}

/** Opens streams at this ws or wss URL. */
export function webSocketStream<M>(url: string, codec: FrameCodec<M>, WebSocket: SocketConstructor): OpenStream<M> {
  return (request, sink) => {
    let over = false;
    let socket: Socket | undefined;
    const drop = () => {
      over = true;
      socket?.close();
    };
    const end = (error: TidingsError) => {
      if (over) return;
      drop();
      sink.end(error);
    };
    const receive = ({ data }: { readonly data: unknown }) => {
      if (over) return;
      let event: StreamEvent<M>;
      try {
        event = codec.decode(data);
      } catch (cause) {
        return end(new TidingsError("internal", `the server sent a malformed frame: ${sentenceOf(cause)}`, { cause }));
      }
      sink.event(event);
    };
    try {
      const opening = new WebSocket(url, [codec.subprotocol]);
      opening.binaryType = "arraybuffer";
      // The token is in a frame, since a URL would appear in logs.
      opening.onopen = () => opening.send(codec.encode(request));
      opening.onmessage = receive;
      // A close follows every error. Without this listener the package `ws` would throw the error.
      opening.onerror = () => {};
      opening.onclose = ({ code, reason }: { readonly code: number; readonly reason: string }) =>
        end(errorFromClose(code, reason));
      socket = opening;
    } catch (thrown) {
      // A content security policy may forbid the connection.
      queueMicrotask(() => end(errorFromThrown(thrown)));
    }
    return drop;
  };
}
