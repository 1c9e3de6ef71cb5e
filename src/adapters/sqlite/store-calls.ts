import { fail } from "../../errors.ts";
import type {
  Append,
  AppendResult,
  BatchPage,
  Entry,
  FeedBounds,
  FeedKey,
  FeedLog,
  FeedSlice,
  InboxIndex,
  MessageLocation,
  NotificationCount,
  Recalled,
  Selection,
  SeqRanges,
  StoredReadState,
  TenantUsage,
} from "../../ports/store.ts";
import { type AppendAnswer, fromAnswer, toRows } from "./append-rows.ts";
import { writes } from "./protocol.ts";

/** The methods of a store whose calls are made on the store's thread. */
export abstract class StoreCalls implements FeedLog, InboxIndex {
  /** Makes a call on the thread, as `CallQueue.call` does. */
  protected abstract call(method: string, args: readonly unknown[], read?: string): Promise<unknown>;

  /** Why nothing must be written now; undefined if writing is safe. */
  protected abstract get writeRefusal(): string | undefined;

  append(messages: readonly Append[]): Promise<readonly AppendResult[]> {
    return this.#call("append", [toRows(messages)], (answer) => fromAnswer(messages, answer as AppendAnswer));
  }

  bounds(feeds: readonly FeedKey[]): Promise<readonly FeedBounds[]> {
    return this.#share("bounds", feeds);
  }

  read(feed: FeedKey, after: number, upTo: number, limit: number, now: number): Promise<FeedSlice> {
    return this.#ask("read", feed, after, upTo, limit, now);
  }

  recall(tenant: string, ids: readonly string[]): Promise<readonly Recalled[]> {
    return this.#ask("recall", tenant, ids);
  }

  trim(before: number, now: number): Promise<number> {
    return this.#ask("trim", before, now);
  }

  usage(tenant: string): Promise<TenantUsage> {
    return this.#ask("usage", tenant);
  }

  select(selection: Selection): Promise<readonly Entry[]> {
    // A page of a list has bodies, and no other user asks for it: do not spend time on its key.
    return selection.bodies ? this.#ask("select", selection) : this.#share("select", selection);
  }

  countNotifications(
    feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[],
    now: number,
  ): Promise<NotificationCount> {
    return this.#ask("countNotifications", feeds, now);
  }

  batch(tenant: string, batchId: string, after: string, limit: number, now: number): Promise<BatchPage> {
    return this.#ask("batch", tenant, batchId, after, limit, now);
  }

  find(feeds: readonly FeedKey[], ids: readonly string[]): Promise<readonly MessageLocation[]> {
    return this.#ask("find", feeds, ids);
  }

  readState(tenant: string, user: string): Promise<StoredReadState> {
    return this.#ask("readState", tenant, user);
  }

  saveReadState(tenant: string, user: string, state: StoredReadState): Promise<boolean> {
    return this.#ask("saveReadState", tenant, user, state);
  }

  #ask<T>(method: string, ...args: unknown[]): Promise<T> {
    return this.#call(method, args, (answer) => answer as T);
  }

  /** As `#ask`, for a read that other callers may make at the same time. */
  #share<T>(method: string, question: unknown): Promise<T> {
    return this.#call(method, [question], (answer) => answer as T, `${method} ${JSON.stringify(question)}`);
  }

  #call<T>(method: string, args: readonly unknown[], decode: (answer: unknown) => T, read?: string): Promise<T> {
    const refusal = writes.has(method) ? this.writeRefusal : undefined;
    if (refusal !== undefined) return Promise.reject(unavailable(new Error(refusal)));
    return this.call(method, args, read).then(decode, (cause) => {
      throw unavailable(cause);
    });
  }
}

function unavailable(cause: unknown): Error {
  return fail("STORE_UNAVAILABLE", "the store did not answer; repeat the request", { cause, retryAfterMs: 1000 });
}
