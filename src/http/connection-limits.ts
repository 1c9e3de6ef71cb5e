import { ByteLimit } from "../util/byte-limit.ts";

/** A call, as far as the bounds see it. */
export interface InFlightCall {
  /** The HTTP/2 connection, whose calls share its bound; undefined for HTTP/1.1, which has one call at a time. */
  readonly session: object | undefined;
  /** The user, once it is known; undefined for services. */
  readonly user: string | undefined;
}

/** The bytes that a call holds of its connection's bound, or waits for. */
export interface Held {
  /** Sets the bytes that the call holds, without waiting; 0 gives all of them back. Without effect on one that waits. */
  resize(bytes: number): void;
  /** Gives the bytes back, or stops waiting for them. */
  end(): void;
}

/**
 * The bound on what one user's calls hold on one HTTP/2 connection. The calls of others do not count, because the connection
 * of a proxy carries many users, and one of them must not keep the rest waiting.
 */
export class ConnectionLimits {
  readonly #bytes: number;
  /** By connection and user. */
  readonly #sessions = new WeakMap<object, Map<string | undefined, ByteLimit>>();

  /** `bytes`: the bound. */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Calls `begin` when the user of a call has room for `bytes` on its connection, which may be at once. */
  enter({ user }: InFlightCall, session: object, bytes: number, begin: () => void): Held {
    const users = this.#sessions.get(session) ?? new Map<string | undefined, ByteLimit>();
    this.#sessions.set(session, users);
    const limit = users.get(user) ?? new ByteLimit(this.#bytes);
    users.set(user, limit);
    let held: number | undefined;
    let isEnded = false;
    const resize = (size: number) => {
      if (held === undefined || isEnded) return;
      const less = held - size;
      held = size;
      limit.free(less);
    };
    const leave = limit.enter(bytes, () => {
      held = bytes;
      begin();
    });
    return {
      resize,
      end: () => {
        resize(0);
        isEnded = true;
        leave();
        if (limit.isIdle && users.get(user) === limit) users.delete(user);
      },
    };
  }
}
