import { fail } from "../errors.ts";
import type { AuthorizeOptions } from "../options.ts";
import { type Clock, elapsedOn } from "../ports/clock.ts";
import { joinKey } from "../util/keys.ts";
import { LruCache } from "../util/lru.ts";
import { type Authorize, type RoomQuestion, retryAfterMs } from "./access.ts";

/** The most cached answers. */
const maxAnswers = 10_000;
/** The most concurrent questions, so that requests do not pile up behind a hook that hangs. */
const maxConcurrent = 200;
/** The longest body of an answer. `{"allow": true}` is much shorter, so anything longer is no answer. */
const maxAnswerBytes = 16 * 1024;

interface Answer {
  readonly allow: boolean;
  /** When the cache entry expires, in the elapsed time of the clock. */
  readonly until: number;
}

/**
 * Asks the operator's backend about rooms: an HTTP POST of the question as JSON, answered with `{"allow": true}` or
 * `{"allow": false}`. Any other answer, or none in time, is a failure and never a permission. Answers are cached, and
 * concurrent requests with the same question share one (single-flight).
 */
export class AuthorizeHook implements Authorize {
  readonly #options: Required<AuthorizeOptions>;
  readonly #clock: Clock;
  readonly #answers = new LruCache<string, Answer>({ entries: maxAnswers });
  readonly #asking = new Map<string, Promise<boolean>>();

  constructor(options: Required<AuthorizeOptions>, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  known(question: RoomQuestion): boolean | undefined {
    const answer = this.#answers.get(keyOf(question));
    return answer && answer.until > elapsedOn(this.#clock) ? answer.allow : undefined;
  }

  async ask(question: RoomQuestion): Promise<boolean> {
    const known = this.known(question);
    if (known !== undefined) return known;
    const key = keyOf(question);
    return this.#asking.get(key) ?? this.#start(key, question);
  }

  #start(key: string, question: RoomQuestion): Promise<boolean> {
    if (this.#asking.size >= maxConcurrent) return Promise.reject(unavailable("is busy with other questions"));
    const asking = this.#post(question)
      .then((allow) => {
        this.#answers.set(key, { allow, until: elapsedOn(this.#clock) + this.#options.cacheMs });
        return allow;
      })
      .finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #post(question: RoomQuestion): Promise<boolean> {
    const { url, token, timeoutMs } = this.#options;
    const authorization: Record<string, string> = token === "" ? {} : { authorization: `Bearer ${token}` };
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...authorization },
        body: JSON.stringify(question),
        redirect: "error",
        signal: AbortSignal.timeout(timeoutMs),
      });
      if (response.status !== 200) {
        // An unread body would hold its connection.
        await response.body?.cancel();
        throw unavailable(`answered with ${response.status}`);
      }
      const answer: unknown = JSON.parse(await readText(response));
      const allow = (answer as { allow?: unknown } | null)?.allow;
      if (typeof allow !== "boolean") throw unavailable("did not answer with allow: true or false");
      return allow;
    } catch (error) {
      const { name } = error as Error;
      if (name === "ConnectError") throw error;
      if (name === "TimeoutError") throw unavailable(`did not answer in ${timeoutMs} ms`, error);
      throw unavailable(name === "SyntaxError" ? "did not answer with JSON" : "cannot be reached", error);
    }
  }
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > maxAnswerBytes) throw unavailable("sent too long an answer");
  }
  return text;
}

/** Returns the error of a failed question. It always has a cause, which the server logs for the operator. */
function unavailable(problem: string, cause: unknown = new Error(`the authorize hook ${problem}`)): Error {
  return fail("AUTHORIZE_UNAVAILABLE", `the authorize hook ${problem}; repeat the request`, { retryAfterMs, cause });
}

function keyOf({ tenant, user, room, action, mode = "any" }: RoomQuestion): string {
  return joinKey(tenant, user, room, action, mode);
}
