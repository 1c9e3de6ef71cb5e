import type { ServerResponse } from "node:http";
import { constants, type ServerHttp2Stream } from "node:http2";
import { fail } from "../errors.ts";
import type { InFlightSettings } from "../in-flight-options.ts";
import type { CutReason } from "../metrics/counters.ts";
import type { ProcessCounts } from "../util/process-counts.ts";
import { ByteLedger, type LedgerEntry, type LedgerReason } from "./byte-ledger.ts";
import { ConnectionLimits, type Held, type InFlightCall } from "./connection-limits.ts";

/** What a call with a large answer counts before its answer is known, in bytes: a page of a list has at most 1 MiB. */
export const largeAnswer = 1024 * 1024;
/** Bytes of a body whose arrival is progress: as many as a peer has to take of an answer. */
const progressBytes = 64 * 1024;
/** Bytes of a body that are never counted: publishing one message takes no more. */
export const smallBody = 64 * 1024;
/** What a body of unknown length counts, in bytes: a user can send no larger one. */
const unknownBody = 3 * 1024 * 1024;
/** The delay before a retry of a call whose body was refused, in ms; each caller gets up to twice as much. */
const retryMs = 1_000;

/** A request body, as far as it has arrived. */
export interface BodyCount {
  /** Whether the body is known to be so small that it is not counted. */
  readonly isSmall: boolean;
  /**
   * Counts bytes that have arrived. Returns undefined where more may be read at once, or else a promise of when. Throws, or
   * rejects with, TOO_MUCH_IN_FLIGHT when the body is refused.
   */
  take(bytes: number): Promise<void> | undefined;
  /** Waits for more of the body, as long as it is not refused meanwhile. */
  until<T>(more: Promise<T>): Promise<T>;
  /** Ends the count, when the body is complete or the call has ended. */
  done(): void;
}

/** The functions to call when more of a counted body has arrived, and when it ends. */
interface UnfinishedBody {
  progress(): void;
  end(): void;
}

/** What a node holds for its callers, beside streams: unread answers and unfinished bodies. */
export class InFlight {
  readonly #limits: InFlightSettings;
  readonly #stallMs: number;
  readonly #onCut: (reason: CutReason) => void;
  readonly #answers: ByteLedger;
  readonly #bodies: ByteLedger;
  /** The bound on the answers of one user on one HTTP/2 connection. */
  readonly connectionAnswers: ConnectionLimits;
  /** The bound on the bodies of one user on one HTTP/2 connection. */
  readonly connectionBodies: ConnectionLimits;
  #timer: NodeJS.Timeout | undefined;

  /** `stallMs`: how long an answer may stay unread. `onCut` is called for each call that is cut. */
  constructor(
    limits: InFlightSettings,
    stallMs: number,
    onCut: (reason: CutReason) => void,
    processCounts?: ProcessCounts,
  ) {
    this.#limits = limits;
    this.#stallMs = stallMs;
    this.#onCut = onCut;
    const ledger = (kind: string) => new ByteLedger(limits, undefined, processCounts && { processCounts, kind });
    this.#answers = ledger("answers");
    this.#bodies = ledger("bodies");
    this.connectionAnswers = new ConnectionLimits(limits.connectionBytes);
    this.connectionBodies = new ConnectionLimits(limits.connectionBytes);
  }

  /** The bytes of all unread answers. */
  get answerBytes(): number {
    return this.#answers.bytes;
  }

  /** The bytes of all unfinished bodies. */
  get bodyBytes(): number {
    return this.#bodies.bytes;
  }

  /**
   * Counts an answer of `bytes` until its response closes, and cuts the response when the peer takes nothing for too long, or
   * others need the room. Returns the function to call when the peer has taken a part.
   */
  unread(response: ServerResponse, bytes: number, user: string | undefined): () => void {
    const stream = "stream" in response ? (response.stream as ServerHttp2Stream | undefined) : undefined;
    const cut = (reason: LedgerReason) => {
      this.#onCut(reason === "stalled" ? "answer_stalled" : "answer_limit");
      // Node ends a stream with NO_ERROR, as if the answer were complete.
      stream?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      response.destroy();
    };
    const entry: LedgerEntry = { bytes, user, cut };
    response.once("close", () => this.#answers.remove(entry));
    this.#answers.add(entry);
    this.#timer ??= setInterval(() => this.#checkStalled(), Math.min(1_000, this.#stallMs / 4)).unref();
    return () => this.#answers.progress(entry);
  }

  /** Begins to count a body. `length` is what the header Content-Length says; NaN without one. */
  body(call: InFlightCall, length: number): BodyCount {
    // Node lets no more than `length` bytes arrive.
    if (length >= 0 && length <= smallBody) return uncounted;
    return new CountedBody(this, call, Number.isSafeInteger(length) && length > 0 ? length : unknownBody);
  }

  /** Counts a body of more than `smallBody`. */
  countBody(bytes: number, user: string | undefined, refuse: (error: Error) => void): UnfinishedBody {
    const cut = (reason: LedgerReason) => {
      this.#onCut("body_limit");
      refuse(this.#refusal(reason === "userBytes" ? reason : "nodeBytes"));
    };
    const entry = { bytes, user, cut };
    this.#bodies.add(entry);
    return { progress: () => this.#bodies.progress(entry), end: () => this.#bodies.remove(entry) };
  }

  #refusal(name: "userBytes" | "nodeBytes"): Error {
    return fail("TOO_MUCH_IN_FLIGHT", "too many bytes of unfinished requests; repeat this one after the delay", {
      metadata: { option: `inFlight.${name}`, limit: String(this.#limits[name]) },
      retryAfterMs: Math.ceil(retryMs * (1 + Math.random())),
    });
  }

  #checkStalled(): void {
    this.#answers.cutStalled(this.#stallMs);
    if (this.#answers.bytes > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** The count of all bodies that are known to be small. */
const uncounted: BodyCount = { isSmall: true, take: () => undefined, until: (more) => more, done() {} };

class CountedBody implements BodyCount {
  readonly #inFlight: InFlight;
  readonly #call: InFlightCall;
  readonly #length: number;
  #arrived = 0;
  /** The value of `#arrived` at which the body has made progress again. */
  #nextProgress = 0;
  #isDone = false;
  /** The error that refuses the body. */
  #error: Error | undefined;
  /** The room on the connection that the body has, or waits for. */
  #held: Held | undefined;
  /** Set once the body is counted. */
  #counted: UnfinishedBody | undefined;
  /** Ends the wait for that room. */
  #resume: (() => void) | undefined;
  /** Set while `until` waits. */
  #wake: ((error: Error) => void) | undefined;

  constructor(inFlight: InFlight, call: InFlightCall, length: number) {
    this.#inFlight = inFlight;
    this.#call = call;
    this.#length = length;
  }

  get isSmall(): boolean {
    return this.#length <= smallBody;
  }

  take(bytes: number): Promise<void> | undefined {
    this.#arrived += bytes;
    if (this.#error) throw this.#error;
    if (!this.#counted) return this.#arrived <= smallBody || this.#isDone ? undefined : this.#enter();
    if (this.#arrived >= this.#nextProgress) {
      this.#nextProgress = this.#arrived + progressBytes;
      this.#counted.progress();
    }
    return undefined;
  }

  until<T>(more: Promise<T>): Promise<T> {
    if (!this.#counted) return more;
    return new Promise((resolve, reject) => {
      if (this.#error) return reject(this.#error);
      this.#wake = reject;
      more.then(resolve, reject);
    });
  }

  done(): void {
    this.#isDone = true;
    this.#counted?.end();
    this.#held?.end();
    this.#resume?.();
  }

  async #enter(): Promise<void> {
    const { session } = this.#call;
    if (session) {
      // Nothing is read meanwhile, so that the windows of HTTP/2 stop the peer.
      await new Promise<void>((resolve) => {
        this.#resume = resolve;
        this.#held = this.#inFlight.connectionBodies.enter(this.#call, session, this.#length, resolve);
      });
    }
    if (this.#isDone) return;
    this.#nextProgress = this.#arrived + progressBytes;
    this.#counted = this.#inFlight.countBody(this.#length, this.#call.user, (error) => {
      this.#error = error;
      this.#wake?.(error);
    });
    if (this.#error) throw this.#error;
  }
}
