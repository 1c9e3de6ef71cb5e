/**
 * Publishes batches one after the other, so that messages keep the order of their lines, and repeats requests that may succeed
 * later under the same request ids.
 */
import type { Client } from "@connectrpc/connect";
import type { PublishOutcome, PublishResponse, PushService } from "../../../gen/tidings/v1/push_service_pb.ts";
import { isTransient } from "../../client/calls/retry.ts";
import { errorFromConnect } from "../../client/calls/wire-error.ts";
import { backoffMs, heldMs } from "../../client/connection/backoff.ts";
import { longestHoldMs } from "../../client/connection/machine.ts";
import { TidingsError } from "../../client/tidings-error.ts";
import type { Dependencies } from "../command.ts";
import type { Item } from "./batches.ts";

/** The time after which a server that does not take anything is given up, in ms. */
export const giveUpMs = 60_000;

/** The failures that lengthen the back-off, which is then at most 8 s: one program is no crowd of clients. */
const mostFailures = 4;

/** Why a line was not published. */
export interface Failure {
  /** The Connect code. */
  readonly code: string;
  /** The reason of ErrorInfo; empty for a line that was not sent. */
  readonly reason: string;
  readonly message: string;
}

/** The callbacks of a Sender. */
export interface SenderHooks {
  /** A line is published. */
  published(item: Item, response: PublishResponse): void;
  /** A line is refused for good. */
  failed(item: Item, failure: Failure): void;
  /** The sender waits before it repeats a call: called when trouble begins, and at the first rate limit. */
  waiting(error: TidingsError): void;
}

/** The dependencies of a Sender. */
export interface SenderOptions {
  readonly client: Client<typeof PushService>;
  readonly hooks: SenderHooks;
  readonly deps: Pick<Dependencies, "now" | "after">;
  /** Messages per second. */
  readonly rate: number | undefined;
  /** Ends waits: a call that is under way is finished, and no other one begins. */
  readonly stop: AbortSignal;
  /** Ends calls. */
  readonly abort: AbortSignal;
}

/** Publishes the batches of one run. */
export class Sender {
  readonly #options: SenderOptions;
  /** When the rate allows the next call, in ms. */
  #nextAt = 0;
  #failures = 0;
  /** When the trouble began; undefined while calls succeed. */
  #troubleSince: number | undefined;
  /** A rate limit was reported: near it, each batch meets it again. */
  #isLimited = false;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /**
   * Publishes a batch and returns the items that are not settled, which are some only after a stop. Rejects with an error
   * that no retry resolves, such as a token that is refused; then nothing of the last call was published.
   */
  async send(items: readonly Item[]): Promise<readonly Item[]> {
    const { rate, deps } = this.#options;
    if (rate !== undefined) {
      const at = Math.max(deps.now(), this.#nextAt);
      await this.#pause(at - deps.now());
      this.#nextAt = at + (items.length * 1_000) / rate;
    }
    return this.#finish(items);
  }

  async #finish(items: readonly Item[]): Promise<readonly Item[]> {
    let open = items;
    while (open.length > 0 && !this.#options.stop.aborted) open = await this.#attempt(open);
    return open;
  }

  async #attempt(items: readonly Item[]): Promise<readonly Item[]> {
    const sent = items.filter(({ request }) => request !== undefined);
    let outcomes: readonly PublishOutcome[] = [];
    try {
      if (sent.length > 0) outcomes = await this.#call(sent);
    } catch (thrown) {
      const error = errorFromConnect(thrown);
      if (this.#options.abort.aborted) return items;
      if (error.reason === "REQUEST_TOO_LARGE") return this.#halve(items, error);
      if (!isTransient(error)) throw thrown;
      await this.#backOff(error);
      return items;
    }
    return this.#settle(items, outcomes);
  }

  async #call(sent: readonly Item[]): Promise<readonly PublishOutcome[]> {
    const requests = sent.flatMap(({ request }) => request ?? []);
    const { outcomes } = await this.#options.client.publishBatch({ requests }, { signal: this.#options.abort });
    if (outcomes.length === sent.length) return outcomes;
    throw new TidingsError("internal", `the server answered ${outcomes.length} of ${sent.length} requests`);
  }

  /** A batch is larger than this server takes: its halves are smaller. */
  async #halve(items: readonly Item[], { code, reason = "", message }: TidingsError): Promise<readonly Item[]> {
    const [item] = items;
    if (item !== undefined && items.length === 1) {
      this.#options.hooks.failed(item, { code, reason, message: withoutIndex(message) });
      return [];
    }
    const middle = Math.ceil(items.length / 2);
    const open = await this.#finish(items.slice(0, middle));
    return open.length > 0 ? [...open, ...items.slice(middle)] : this.#finish(items.slice(middle));
  }

  async #settle(items: readonly Item[], outcomes: readonly PublishOutcome[]): Promise<readonly Item[]> {
    const { hooks } = this.#options;
    const again: Item[] = [];
    let transient: TidingsError | undefined;
    let index = 0;
    for (const item of items) {
      if (item.request === undefined) {
        hooks.failed(item, { code: "invalid_argument", reason: "", message: item.fault });
        continue;
      }
      const { result } = outcomes[index++] as PublishOutcome;
      if (result.case === "ok") {
        hooks.published(item, result.value);
        continue;
      }
      const { code = "unknown", reason = "", message = "the server named no reason" } = result.value ?? {};
      const error = new TidingsError(code as TidingsError["code"], message, { reason });
      if (isTransient(error)) {
        transient ??= error;
        again.push(item);
      } else hooks.failed(item, { code, reason, message: withoutIndex(message) });
    }
    if (again.length < items.length) this.#recovered();
    if (transient !== undefined) await this.#backOff(transient);
    return again;
  }

  #recovered(): void {
    this.#failures = 0;
    this.#troubleSince = undefined;
  }

  async #backOff(error: TidingsError): Promise<void> {
    const { hooks, deps } = this.#options;
    if (error.reason === "RATE_LIMITED") {
      // No trouble: the server takes the batch when its time has come.
      if (!this.#isLimited) hooks.waiting(error);
      this.#isLimited = true;
      this.#troubleSince = undefined;
    } else {
      if (this.#troubleSince === undefined) hooks.waiting(error);
      this.#troubleSince ??= deps.now();
      if (deps.now() - this.#troubleSince >= giveUpMs) throw error;
    }
    const fraction = Math.random();
    const asked = error.retryAfterMs;
    const delay =
      asked === undefined
        ? backoffMs(this.#failures, fraction)
        : heldMs(Math.min(asked, longestHoldMs), this.#failures, fraction);
    this.#failures = Math.min(this.#failures + 1, mostFailures);
    await this.#pause(delay);
  }

  /** Waits, or until the stop. */
  #pause(milliseconds: number): Promise<void> {
    const { deps, stop } = this.#options;
    if (milliseconds <= 0 || stop.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        stop.removeEventListener("abort", done);
        cancel();
        resolve();
      };
      stop.addEventListener("abort", done);
      const cancel = deps.after(milliseconds, done);
    });
  }
}

/** The path of a field without the index in the batch, which is not the number of the line. */
function withoutIndex(message: string): string {
  return message.replace(/^requests\[\d+\]\.?/, "").replace(/^: /, "");
}
