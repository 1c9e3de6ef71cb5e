import { CallError } from "./call-error.ts";
import { type Answer, type Call, writes } from "./protocol.ts";

/** The most calls in flight. Further ones are refused, so that a slow disk cannot fill the memory. */
const maxPending = 50_000;

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * The calls of one client to the store's thread. All calls of an event-loop tick are one message, and the next message is
 * sent after the answers of the last: calls that are made meanwhile gather into one batch. Equal reads of a batch are one call,
 * since streams that open together ask the same about the feeds that they share.
 */
export class CallQueue {
  readonly #pending = new Map<number, Pending>();
  readonly #waiting: () => void;
  #post: ((calls: readonly Call[]) => void) | undefined;
  #outbox: Call[] = [];
  /** The answers of the shareable reads in `#outbox` after its last write, by their keys. */
  readonly #reads = new Map<string, Promise<unknown>>();
  #nextId = 1;
  /** The id of the last call that was sent. */
  #lastSent = 0;
  #isSent = false;
  /** Set once no call can succeed any more. */
  #end: Error | undefined;
  #idle: (() => void)[] = [];

  /** `waiting` is called when `isWaiting` may have changed. */
  constructor(waiting: () => void) {
    this.#waiting = waiting;
  }

  /** Whether calls wait for their answers. */
  get isWaiting(): boolean {
    return this.#pending.size > 0;
  }

  /**
   * Makes a call. Rejects with a CallError when it fails on the thread, and with another error when it does not reach it.
   * A read with the key `read` may share its answer with others of that key, which must name the method and all arguments.
   */
  call(method: string, args: readonly unknown[], read?: string): Promise<unknown> {
    if (this.#end) return Promise.reject(this.#end);
    if (this.#pending.size >= maxPending) return Promise.reject(new Error("too many calls are waiting for the store"));
    const shared = read === undefined ? undefined : this.#reads.get(read);
    if (shared) return shared;
    const id = this.#nextId++;
    if (this.#outbox.push([id, method, args]) === 1) setImmediate(() => this.#flush());
    const answer = new Promise<unknown>((resolve, reject) => {
      if (this.#pending.set(id, { resolve, reject }).size === 1) this.#waiting();
    });
    // A read after a write must see it.
    if (writes.has(method)) this.#reads.clear();
    else if (read !== undefined) this.#reads.set(read, answer);
    return answer;
  }

  /** Sends waiting and future calls with `post` from now on. */
  connect(post: (calls: readonly Call[]) => void): void {
    this.#post = post;
    this.#isSent = false;
    this.#flush();
  }

  /** Holds calls back until `connect` is called again. Calls that were sent and not answered fail with `error`. */
  disconnect(error: Error): void {
    this.#post = undefined;
    for (const [id, { reject }] of this.#pending) {
      if (id > this.#lastSent) continue;
      this.#pending.delete(id);
      reject(error);
    }
    this.#checkIdle();
  }

  /** Settles the calls of the last message, and sends the next one. */
  settle(answers: readonly Answer[]): void {
    this.#isSent = false;
    for (const [id, value, failure] of answers) {
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      if (failure) pending?.reject(new CallError(failure));
      else pending?.resolve(value);
    }
    this.#flush();
    this.#checkIdle();
  }

  /** Fails waiting and future calls. */
  stop(error: Error): void {
    this.#end ??= error;
    this.#takeOutbox();
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.#checkIdle();
  }

  /** Fails future calls, and resolves when those in flight have settled. */
  finish(error: Error): Promise<void> {
    this.#end ??= error;
    if (this.#pending.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #flush(): void {
    if (!this.#post || this.#isSent || this.#outbox.length === 0) return;
    const calls = this.#takeOutbox();
    this.#isSent = true;
    this.#lastSent = (calls.at(-1) as Call)[0];
    this.#post(calls);
  }

  #takeOutbox(): readonly Call[] {
    const calls = this.#outbox;
    this.#outbox = [];
    this.#reads.clear();
    return calls;
  }

  #checkIdle(): void {
    if (this.#pending.size > 0) return;
    this.#waiting();
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
