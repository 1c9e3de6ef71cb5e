/** Subscribe over the WebSocket bridge, in the form of its codec. */

import { errorFromClose, errorFromThrown } from "../calls/wire-error.ts";
import type { OpenStream, StreamEvent, StreamRequest } from "../events.ts";

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
  /** A frame without content, which the server answers with a heartbeat. */
  readonly ping: string | Uint8Array<ArrayBuffer>;
  /** Encodes the first frame. */
  encode(request: StreamRequest): string | Uint8Array<ArrayBuffer>;
  /** Decodes one event. Throws a TidingsError for data that no server sends. */
  decode(data: unknown): StreamEvent<M>;
}

/** Opens streams at this ws or wss URL. */
export function webSocketStream<M>(url: string, codec: FrameCodec<M>, WebSocket: SocketConstructor): OpenStream<M> {
  return (request, sink) => {
    let socket: Socket | undefined;
    try {
      socket = new WebSocket(url, [codec.subprotocol]);
      socket.binaryType = "arraybuffer";
      // The token is in a frame, since a URL would appear in logs.
      socket.onopen = () => socket?.send(codec.encode(request));
      socket.onmessage = ({ data }: { readonly data: unknown }) => {
        try {
          sink.event(codec.decode(data));
        } catch (thrown) {
          sink.end(errorFromThrown(thrown));
        }
      };
      // A close follows every error. Without this listener the package `ws` would throw the error.
      socket.onerror = () => {};
      socket.onclose = ({ code, reason }: { readonly code: number; readonly reason: string }) =>
        sink.end(errorFromClose(code, reason));
    } catch (thrown) {
      // A content security policy may forbid the connection.
      queueMicrotask(() => sink.end(errorFromThrown(thrown)));
    }
    return {
      drop: () => socket?.close(),
      probe() {
        // After Hello the socket is open, or closing; then its end follows.
        socket?.send(codec.ping);
        return true;
      },
    };
  };
}
