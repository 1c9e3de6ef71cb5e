/** Streams of an attacker over the WebSocket bridge. */
import { WebSocket } from "ws";
import type { Attacker } from "../attack.ts";
import { openTcp } from "./tcp.ts";

/** An event of a stream, as far as attacks look at it. */
export interface StreamEvent {
  readonly hello?: object;
  readonly caughtUp?: object;
  readonly message?: { readonly title?: string };
  readonly room?: { readonly status?: string; readonly reason?: string };
  readonly goAway?: { readonly reconnectAfter?: string };
}

/** An open stream. */
export interface OpenStream {
  readonly socket: WebSocket;
  /** The size of its Hello, in bytes. */
  readonly helloBytes: number;
}

/**
 * Opens a stream and reads everything that arrives. Resolves when it has caught up, or with undefined when it was refused;
 * the refusal is counted by its reason.
 */
export function openStream(
  { url, port, answers }: Attacker,
  token: string,
  subscribe: object = {},
  onEvent: (event: StreamEvent) => void = () => {},
): Promise<OpenStream | undefined> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, "tidings.v1.json", {
    createConnection: () => openTcp({ port }),
  });
  let helloBytes = 0;
  let retryMs: number | undefined;
  return new Promise((resolve) => {
    socket.on("open", () => socket.send(JSON.stringify({ token, subscribe })));
    socket.on("message", (data) => {
      const event = JSON.parse(String(data)) as StreamEvent;
      if (event.hello) helloBytes = String(data).length;
      if (event.goAway) retryMs = Number.parseFloat(event.goAway.reconnectAfter ?? "0") * 1000;
      if (event.caughtUp) resolve({ socket, helloBytes });
      onEvent(event);
    });
    socket.on("error", () => {});
    socket.on("close", (code, reason) => {
      const [name = ""] = String(reason).split(":");
      // A stream that the attacker itself closes has no reason.
      if (code >= 4_000) answers.add(name, retryMs);
      resolve(undefined);
    });
  });
}
