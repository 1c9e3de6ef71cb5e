/** The options that both clients share, checked and with their defaults. */
import type { Clock, Random } from "../ports/clock.ts";
import type { Fetch } from "./calls/http-call.ts";
import {
  type ArgumentType,
  aBoolean,
  aFunction,
  aNumber,
  anObject,
  aString,
  check,
  checkShape,
  listOf,
  type Shape,
  strings,
  withMethods,
} from "./check.ts";
import { foregroundClock } from "./connection/foreground-clock.ts";
import type { TokenSource } from "./connection/tokens.ts";
import type { RoomJoin } from "./events.ts";
import type { PositionStorage } from "./state/position-saver.ts";
import { RoomJoins } from "./state/rooms.ts";
import type { SocketConstructor } from "./streams/ws.ts";

/** The options of connectTidings that are the same for Protobuf and JSON. */
export interface BaseOptions {
  /** The URL of the server: http or https; in a page it may be relative, such as `/`. */
  readonly url: string;
  /** Returns the user's token. For another user create another client. */
  readonly token: TokenSource;
  /**
   * The id of this page or device for rooms that admit only one: 1 to 128 characters. Default: a random id, with which
   * the client is not refused because of its own lost connection, but a reloaded page may be. To prevent that, keep an
   * id in the page's sessionStorage.
   */
  readonly instanceId?: string;
  /** Keeps positions between page loads, one storage per user. Default: positions are kept in memory only. */
  readonly storage?: PositionStorage;
  /** The number of events that one loop over events() may leave queued before the stream pauses. Default 1,000. */
  readonly queueLimit?: number;
  /** For tests and special environments. Default: the global `fetch`. */
  readonly fetch?: Fetch;
  /** For tests and special environments. Default: the global `WebSocket`. */
  readonly WebSocket?: SocketConstructor;
  /** For tests. Default: the system clock. */
  readonly clock?: Clock;
  /** For tests. Default: Math.random. */
  readonly random?: Pick<Random, "fraction">;
}

/** The checked options with their defaults filled in. */
export interface BaseSettings {
  /** The server's URL, without a slash at its end. */
  readonly url: string;
  /** The URL of the WebSocket bridge. */
  readonly socketUrl: string;
  readonly token: TokenSource;
  readonly instanceId: string;
  readonly storage?: PositionStorage;
  readonly queueLimit: number;
  readonly fetch: Fetch;
  readonly WebSocket: SocketConstructor | undefined;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
}

const baseShape: Shape<BaseOptions & { subscribe?: unknown }> = {
  url: aString,
  token: aFunction,
  subscribe: anObject,
  instanceId: aString,
  storage: withMethods("load", "save"),
  queueLimit: aNumber,
  fetch: aFunction,
  WebSocket: aFunction,
  clock: withMethods("now", "after"),
  random: withMethods("fraction"),
};

/**
 * Fills in the defaults. `own` are the types of options that one client alone has. Throws a TypeError or RangeError
 * that names the option, also for an option that does not exist.
 */
export function resolveBase(options: BaseOptions, own: Readonly<Record<string, ArgumentType>> = {}): BaseSettings {
  const given = checkShape("options", options, { ...baseShape, ...own });
  check("url", given.url, aString);
  check("token", given.token, aFunction);
  const url = resolveUrl(given.url);
  const settings = {
    instanceId: randomId(),
    queueLimit: 1_000,
    // The browser's fetch throws when it is called as a method of another object.
    fetch: (input: string, init: RequestInit) => fetch(input, init),
    WebSocket: globalThis.WebSocket as SocketConstructor | undefined,
    clock: foregroundClock,
    random: { fraction: Math.random },
    ...given,
    url,
    socketUrl: `${url.replace(/^http/, "ws")}/ws`,
  };
  const { queueLimit } = settings;
  if (!Number.isInteger(queueLimit) || queueLimit < 1)
    throw new RangeError("queueLimit: must be a whole number from 1");
  return settings;
}

const subscribeShape = {
  kinds: strings,
  categories: strings,
  events: strings,
  onlineCount: aBoolean,
  rooms: listOf({ roomId: aString, mode: aString } satisfies Shape<RoomJoin>),
};

/**
 * Separates the filters of a subscription, which are the same for all its streams, from its rooms, which can change.
 */
export function splitSubscribe<T extends { readonly rooms?: readonly RoomJoin[] }>(
  subscribe: T,
  own?: Readonly<Record<string, ArgumentType>>,
) {
  const { rooms, ...filters } = checkShape("subscribe", subscribe, { ...subscribeShape, ...own });
  return { rooms: new RoomJoins(rooms), filters };
}

/** 128 random bits in hex. Not crypto.randomUUID(), which pages over plain http do not have. */
/** 128 random bits in hexadecimal. Not crypto.randomUUID, which pages without TLS do not have. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => (byte + 256).toString(16).slice(1)).join("");
}

function resolveUrl(text: string): string {
  try {
    const { href } = new URL(text, globalThis.location?.href);
    // A credential in a URL would appear in logs, and fetch refuses it.
    if (/^https?:\/\/[^/@]+\/[^?#]*$/.test(href)) return href.replace(/\/+$/, "");
  } catch {
    // Malformed. The oldest browsers have no URL.canParse.
  }
  throw new TypeError("url: must be an http or https URL without user, password, query or fragment");
}
