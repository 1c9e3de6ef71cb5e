import { fail } from "../errors.ts";
import type { AuthorizeOptions } from "../options.ts";
import type { Clock } from "../ports/clock.ts";
import { joinKey } from "../util/keys.ts";
import { LruCache } from "../util/lru.ts";
import { type Authorize, type RoomQuestion, retryAfterMs } from "./access.ts";

/** Answers remembered at most. */
const maxAnswers = 10_000;
/** Questions under way at most: a hook that hangs must not pile up callers. */
const maxAsking = 200;
/** An answer is `{"allow": true}`; anything much longer is none. */
const maxAnswerBytes = 16 * 1024;

interface Answer {
  readonly allow: boolean;
  readonly until: number;
}

/**
 * The operator's backend as a judge of rooms: an HTTP POST of the question as JSON, answered with `{"allow": true}` or
 * `{"allow": false}`. Anything else, and no answer in time, is a failure and never a permission.
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
    return answer && answer.until > this.#clock.now() ? answer.allow : undefined;
  }

  async ask(question: RoomQuestion): Promise<boolean> {
    const known = this.known(question);
    if (known !== undefined) return known;
    const key = keyOf(question);
    const asking = this.#asking.get(key) ?? this.#start(key, question);
    return asking;
  }

  #start(key: string, question: RoomQuestion): Promise<boolean> {
    if (this.#asking.size >= maxAsking) return Promise.reject(unavailable("is asked too much at once"));
    const asking = this.#post(question)
      .then((allow) => {
        this.#remember(key, allow);
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
        // What is not read would hold its connection.
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

  #remember(key: string, allow: boolean): void {
    this.#answers.set(key, { allow, until: this.#clock.now() + this.#options.cacheMs });
  }
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > maxAnswerBytes) throw unavailable("answered with too much");
  }
  return text;
}

/** With a cause in any case, so that the operator finds it in the log. */
function unavailable(what: string, cause: unknown = new Error(`the authorize hook ${what}`)): Error {
  return fail("AUTHORIZE_UNAVAILABLE", `the authorize hook ${what}; repeat the request`, { retryAfterMs, cause });
}

function keyOf({ tenant, user, room, action }: RoomQuestion): string {
  return joinKey(tenant, user, room, action);
}
