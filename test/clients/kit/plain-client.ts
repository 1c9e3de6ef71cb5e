/**
 * A robust client of Tidings in one file, without any library: Connect's JSON over fetch. It follows the rules of
 * docs/clients.md, whose numbers are at the lines that follow them.
 */
import type { MessageJson, PositionJson, UnreadTotalsJson } from "../../../gen/tidings/v1/message_pb.ts";
import type {
  ListUnreadRequestJson,
  ListUnreadResponseJson,
  PublishBatchResponseJson,
  PublishErrorJson,
  PublishRequestJson,
  PublishResponseJson,
  RoomJoinJson,
  RoomModeJson,
  RoomStateJson,
  SubscribeRequestJson,
  SubscribeResponseJson,
} from "../../../gen/tidings/v1/push_service_pb.ts";

/** A line of the kit. */
export type Line = Readonly<Record<string, unknown>>;

type Totals = Required<UnreadTotalsJson>;

/** What a client needs. */
export interface PlainOptions {
  readonly url: string;
  /** Returns a JWT; a new one if `refresh` is set. */
  readonly token: (refresh: boolean) => Promise<string>;
  /** Gets everything that the application wants to know, as lines of the kit; the stream waits for it. */
  readonly on: (line: Line) => void | Promise<void>;
}

/** An error of a call or a stream. */
export class PlainError extends Error {
  readonly code: string;
  /** `tidings` for errors of a Tidings server; those of proxies have none. */
  readonly domain: string;
  readonly reason: string;
  readonly field: string;
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, domain = "", reason = "", field = "", retryAfterMs?: number) {
    super(message);
    this.code = code;
    this.domain = domain;
    this.reason = reason;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
  }
}

const finalCodes = ["permission_denied", "invalid_argument", "unimplemented", "not_found"];
const retriedCodes = ["unavailable", "deadline_exceeded", "aborted"];
const maxEventBytes = 16 * 1024 * 1024;

/** Full jitter: [0, min(30 s, 0.5 s × 2^failures)), at most 6 failures counted (rule 4). */
const backoffMs = (failures: number) => Math.random() * Math.min(30_000, 500 * 2 ** Math.min(failures, 6));
/** A delay that a server named, at most 5 min; below 0.5 s it does not replace the back-off (rule 5). */
const heldMs = (askedMs: number, failures: number) =>
  askedMs < 500 ? Math.max(askedMs, backoffMs(failures)) : Math.min(askedMs, 300_000) + Math.random() * 500;

/** A client: one subscription, and any number of calls. */
export class PlainClient {
  readonly #options: PlainOptions;
  readonly #closing = new AbortController();
  readonly #positions = new Map<string, { epoch: number; seq: bigint }>();
  readonly #rooms = new Map<string, { readonly mode: RoomModeJson; held: boolean }>();
  #filters: SubscribeRequestJson = {};
  #stream: AbortController | undefined;
  #greeted = false;
  #roomsChanged = false;
  #state = "idle";
  #totals: Totals | undefined;
  #counting = false;
  #token: Promise<string> | undefined;
  #tokenInUse = "";
  #refresh = false;

  constructor(options: PlainOptions) {
    this.#options = options;
  }

  /** Subscribes until close(), or until an error that a retry cannot resolve. */
  async subscribe({ rooms = [], ...filters }: SubscribeRequestJson): Promise<void> {
    this.#filters = { instanceId: crypto.randomUUID(), ...filters }; // rule 10
    for (const { roomId = "", mode = "ROOM_MODE_ANY" } of rooms) this.#rooms.set(roomId, { mode, held: false });
    let failures = 0;
    let refusals = 0;
    while (!this.#closing.signal.aborted) {
      const attempt = { helloAt: 0 };
      const error = await this.#attempt(attempt).catch((thrown) => thrown as PlainError);
      if (this.#closing.signal.aborted) return;
      if (error === resubscribe) continue;
      const uptimeMs = attempt.helloAt === 0 ? 0 : performance.now() - attempt.helloAt;
      failures = Math.max(0, Math.min(failures, 6) - Math.floor(uptimeMs / 500));
      if (uptimeMs >= 1_000) refusals = 0;
      const { code, reason, retryAfterMs } = error;
      let delayMs = backoffMs(failures);
      if (reason === "POSITION_IN_FUTURE" || reason === "POSITION_INVALID") {
        this.#positions.clear(); // rule 7
        await this.#print({ type: "reset", reason });
      } else if (code === "unauthenticated") {
        // The first refusal of a healthy connection means that the token has expired (rule 8).
        if (++refusals === 1) continue;
        await this.#print(errorLine(error, false));
        delayMs = (Math.min(30_000, 250 * 2 ** refusals) / 2) * (1 + Math.random());
        this.#enter("unauthorized");
      } else if (error.domain === "tidings" && finalCodes.includes(code)) {
        this.#enter("closed");
        return this.#print(errorLine(error, true)); // rule 6
      } else if (retryAfterMs !== undefined) {
        delayMs = heldMs(retryAfterMs, failures);
        if (retryAfterMs >= 500) failures--;
        this.#enter("held");
      }
      if (this.#state !== "held" && this.#state !== "unauthorized") this.#enter("waiting");
      failures++;
      await pause(delayMs, this.#closing.signal);
    }
  }

  /** Joins a room on the open subscription (rule 10). */
  join(roomId: string, mode: RoomModeJson = "ROOM_MODE_ANY"): void {
    this.#rooms.set(roomId, { mode, held: false });
    this.#resubscribe();
  }

  /** Leaves a room (rule 10). */
  leave(roomId: string): void {
    this.#rooms.delete(roomId);
    this.#positions.delete(`room/${roomId}`);
    this.#resubscribe();
  }

  /** Ends the subscription and its waits. */
  close(): void {
    this.#enter("closed");
    this.#closing.abort(new PlainError("canceled", "the client is closed"));
  }

  /** Publishes a message, at most once however often it has to be tried (rule 11). */
  async publish(request: PublishRequestJson): Promise<PublishResponseJson> {
    const withId = { ...request, requestId: request.requestId || crypto.randomUUID() };
    return this.#retry((deadline) => this.call<PublishResponseJson>("Publish", withId, deadline));
  }

  /** Publishes many messages; `outcome` is called once for each. */
  async publishBatch(
    requests: readonly PublishRequestJson[],
    outcome: (index: number, ok: PublishResponseJson | undefined, error: PublishErrorJson | undefined) => void,
  ): Promise<void> {
    const items = requests.map((each, index) => ({ index, ...each, requestId: each.requestId || crypto.randomUUID() }));
    for (let rest = items; rest.length > 0; ) {
      let waiting = sliceOf(rest);
      rest = rest.slice(waiting.length);
      const deadline = performance.now() + 30_000;
      for (let failures = 0; waiting.length > 0; failures++) {
        const request = { requests: waiting.map(({ index: _, ...each }) => each) };
        const call = (by: number) => this.call<PublishBatchResponseJson>("PublishBatch", request, by);
        const { outcomes = [] } = await this.#retry(call);
        const again = waiting.filter(({ index }, position) => {
          const { ok, error } = outcomes[position] ?? {};
          const isOver = ok || !retriedCodes.includes(error?.code ?? "") || performance.now() > deadline;
          if (isOver) outcome(index, ok, error);
          return !isOver;
        });
        waiting = again;
        if (waiting.length > 0) await pause(backoffMs(failures), this.#closing.signal);
      }
    }
  }

  /** All unread messages, over all pages (rule 12). */
  async *listUnread(request: ListUnreadRequestJson): AsyncGenerator<MessageJson> {
    for (let pageToken = ""; ; ) {
      const page: ListUnreadResponseJson = await this.call("ListUnread", { ...request, pageToken });
      yield* page.messages ?? [];
      pageToken = page.nextPageToken ?? "";
      if (pageToken === "") return;
    }
  }

  /** Makes one call; where its token is refused, once more with a fresh one (rule 8). */
  async call<T>(method: string, request: object, deadline = performance.now() + 30_000): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const token = await this.#currentToken();
      try {
        const timeout = AbortSignal.timeout(Math.max(1, Math.round(deadline - performance.now())));
        const response = await this.#post(method, "application/json", JSON.stringify(request), token, timeout);
        const answer = JSON.parse(await response.text()) as T & { readonly unread?: UnreadTotalsJson };
        if (answer.unread && BigInt(answer.unread.version ?? 0) > BigInt(this.#totals?.version ?? 0)) {
          await this.#setTotals(answer.unread);
        }
        return answer;
      } catch (error) {
        const isRefused = error instanceof PlainError && error.code === "unauthenticated";
        if (isRefused) this.#refuse(token);
        if (!isRefused || attempt === 2) throw error;
      }
    }
  }

  async #retry<T>(call: (deadline: number) => Promise<T>): Promise<T> {
    const deadline = performance.now() + 30_000;
    for (let failures = 0; ; failures++) {
      try {
        return await call(deadline);
      } catch (thrown) {
        const error = asError(thrown);
        const { retryAfterMs, reason } = error;
        const mayRetry = retriedCodes.includes(error.code) || retryAfterMs !== undefined;
        const delayMs = retryAfterMs === undefined ? backoffMs(failures) : heldMs(retryAfterMs, failures);
        const isLate = performance.now() + delayMs > deadline;
        if (!mayRetry || reason === "QUOTA_EXCEEDED" || isLate) throw error;
        await pause(delayMs, this.#closing.signal);
      }
    }
  }

  /** Opens one stream, and reads it until it ends. Never returns: every end is thrown. */
  async #attempt(attempt: { helloAt: number }): Promise<never> {
    this.#enter("authorizing");
    const token = await this.#currentToken();
    this.#enter("connecting");
    this.#roomsChanged = false;
    this.#greeted = false;
    const dropped = new AbortController();
    this.#stream = dropped;
    const signal = AbortSignal.any([dropped.signal, this.#closing.signal]);
    const overdue = () => dropped.abort(new PlainError("deadline_exceeded", "no event came in time"));
    let timer = setTimeout(overdue, 10_000); // rule 3
    let silenceMs = 0;
    try {
      const body = envelope(JSON.stringify(this.#subscribeRequest()));
      const response = await this.#post("Subscribe", "application/connect+json", body, token, signal);
      for await (const event of eventsOf(response)) {
        clearTimeout(timer);
        if (event.hello && !this.#greeted) {
          attempt.helloAt = performance.now();
          this.#greeted = true;
          silenceMs = 2_000 * Number.parseFloat(event.hello.heartbeatInterval ?? "0");
        }
        await this.#take(event);
        if (this.#roomsChanged && this.#greeted) throw resubscribe;
        // Armed again only now: while the application works, the stream is not silent.
        if (silenceMs > 0) timer = setTimeout(overdue, silenceMs);
      }
      throw new PlainError("unavailable", "the stream ended");
    } catch (thrown) {
      const error = asError(signal.aborted ? signal.reason : thrown);
      if (error.code === "unauthenticated") this.#refuse(token);
      throw error;
    } finally {
      clearTimeout(timer);
      dropped.abort();
      this.#stream = undefined;
    }
  }

  #subscribeRequest(): SubscribeRequestJson {
    const rooms = [...this.#rooms].map(([roomId, { mode, held }]): RoomJoinJson => {
      return { roomId, mode: held && mode === "ROOM_MODE_LAST" ? "ROOM_MODE_FIRST" : mode };
    });
    const positions = [...this.#positions]
      .filter(([feed]) => !feed.startsWith("room/") || this.#rooms.has(feed.slice("room/".length)))
      .map(([feed, { epoch, seq }]) => ({ feed, epoch, seq: String(seq) }));
    return { ...this.#filters, rooms, positions };
  }

  async #take(event: SubscribeResponseJson): Promise<void> {
    const { hello, message, readState, caughtUp, gap, room, heartbeat, goAway } = event;
    if (hello) {
      this.#enter("replaying");
      // Not those of a room without a position: its messages from before Hello are no duplicates.
      const isKnown = ({ feed = "" }: PositionJson) => !feed.startsWith("room/") || this.#positions.has(feed);
      this.#advance((hello.positions ?? []).filter(isKnown));
      this.#counting = false;
      if (hello.unread) await this.#setTotals(hello.unread);
    } else if (message) await this.#takeMessage(message);
    else if (readState) {
      if (readState.unread) {
        this.#counting = true;
        await this.#setTotals(readState.unread);
      }
      await this.#print({ type: "readState" });
    } else if (caughtUp) {
      this.#advance(caughtUp.positions);
      this.#counting = true;
      this.#enter("live");
      await this.#print({ type: "caughtUp" });
    } else if (gap) {
      const { after, to } = gap;
      this.#advance(to && [to]);
      await this.#print({ type: "gap", feed: to?.feed, after: after?.seq, to: to?.seq });
    } else if (room) await this.#takeRoom(room);
    else if (heartbeat) this.#advance(heartbeat.positions);
    else if (goAway) {
      const retryAfterMs = 1_000 * Number.parseFloat(goAway.reconnectAfter ?? "0");
      throw new PlainError("unavailable", goAway.message ?? "", "tidings", goAway.reason, "", retryAfterMs);
    }
    // Anything else is an event of a newer server (rule 14).
  }

  async #takeMessage(message: MessageJson): Promise<void> {
    const { position, kind, category = "" } = message;
    if (position) {
      if (this.#isKnown(position)) return; // rule 2
      this.#advance([position]);
      if (kind === "KIND_NOTIFICATION") await this.#count(category);
    }
    await this.#print({ type: "message", message });
  }

  async #takeRoom({ roomId = "", status, code, reason = "" }: RoomStateJson): Promise<void> {
    let name = status?.replace("STATUS_", "") ?? "";
    const room = this.#rooms.get(roomId);
    if (room && name === "JOINED") room.held = true;
    if (room?.held && room.mode === "ROOM_MODE_LAST" && code === "already_exists") name = "KICKED";
    if (name === "KICKED") this.#rooms.delete(roomId);
    if (["JOINED", "REFUSED", "KICKED"].includes(name))
      await this.#print({ type: "room", roomId, status: name, reason });
  }

  #isKnown({ feed = "", epoch = 0, seq = "0" }: PositionJson): boolean {
    const known = this.#positions.get(feed);
    return known !== undefined && known.epoch === epoch && BigInt(seq) <= known.seq;
  }

  /** Never back within an epoch; another epoch replaces (rule 1). */
  #advance(positions: readonly PositionJson[] = []): void {
    for (const position of positions) {
      const { feed = "", epoch = 0, seq = "0" } = position;
      if (!this.#isKnown(position)) this.#positions.set(feed, { epoch, seq: BigInt(seq) });
    }
  }

  /** Counts a NOTIFICATION that the last totals do not include (rule 9). */
  async #count(category: string): Promise<void> {
    if (!this.#counting || !this.#totals) return;
    const { total, byCategory, version } = this.#totals;
    const hasRoom = Object.hasOwn(byCategory, category) || Object.keys(byCategory).length < 100;
    const name = hasRoom ? category : "(other)";
    const counts = { ...byCategory, [name]: (Object.hasOwn(byCategory, name) ? (byCategory[name] ?? 0) : 0) + 1 };
    await this.#setTotals({ total: total + 1, byCategory: counts, version });
  }

  async #setTotals({ total = 0, byCategory = {}, version = "0" }: UnreadTotalsJson): Promise<void> {
    this.#totals = { total, byCategory, version };
    await this.#print({ type: "unread", total, byCategory });
  }

  /** The token that streams and calls share; single-flight (rule 8). */
  async #currentToken(): Promise<string> {
    this.#token ??= this.#options.token(this.#refresh);
    const current = this.#token;
    const late = new AbortController();
    try {
      const timeout = pause(30_000, late.signal).then(() => {
        throw new PlainError("deadline_exceeded", "no token came within 30 s");
      });
      this.#tokenInUse = await Promise.race([current, timeout]);
      return this.#tokenInUse;
    } catch (error) {
      if (this.#token === current) this.#token = undefined;
      throw asError(error);
    } finally {
      late.abort();
    }
  }

  /** Drops a token that the server refused, unless another has replaced it already. */
  #refuse(token: string): void {
    if (token !== this.#tokenInUse) return;
    this.#token = undefined;
    this.#refresh = true;
  }

  #resubscribe(): void {
    this.#roomsChanged = true;
    if (this.#greeted) this.#stream?.abort(resubscribe);
  }

  async #post(
    method: string,
    type: string,
    body: string | Uint8Array<ArrayBuffer>,
    token: string,
    signal: AbortSignal,
  ) {
    const headers = { authorization: `Bearer ${token}`, "content-type": type, "connect-protocol-version": "1" };
    const url = `${this.#options.url}/tidings.v1.PushService/${method}`;
    const response = await fetch(url, { method: "POST", headers, body, signal });
    if (response.ok && response.headers.get("content-type")?.startsWith(type)) return response;
    throw readError(await response.text(), response.status);
  }

  #enter(state: string): void {
    if (this.#state === "closed" || this.#state === state) return;
    this.#state = state;
    void this.#print({ type: "state", state });
  }

  async #print(line: Line): Promise<void> {
    await this.#options.on(line);
  }
}

/** Ends a stream whose rooms have changed; the next one is opened at once. */
const resubscribe = new PlainError("canceled", "the rooms have changed");

/** The line of an error, as the kit wants it. */
export function errorLine(error: PlainError, final: boolean): Line {
  const { code, reason, field, retryAfterMs = 0, message } = error;
  return { type: "error", code, reason, field, retryAfterMs, final, message };
}

/** Any thrown value as an error; one of fetch is a connection that failed. */
export function asError(thrown: unknown): PlainError {
  return thrown instanceof PlainError ? thrown : new PlainError("unavailable", String(thrown));
}

/** The first items of a batch: at most 1,000, and about 1 MiB. */
function sliceOf<T>(items: readonly T[]): T[] {
  let bytes = 0;
  const end = items.findIndex((item, index) => {
    bytes += JSON.stringify(item).length;
    return index > 0 && (index === 1_000 || bytes > 1024 * 1024);
  });
  return items.slice(0, end < 0 ? items.length : end);
}

/** Connect's envelope: one byte of flags, four bytes of length, and the data. */
function envelope(text: string): Uint8Array<ArrayBuffer> {
  const data = new TextEncoder().encode(text);
  const bytes = new Uint8Array(5 + data.length);
  new DataView(bytes.buffer).setUint32(1, data.length);
  bytes.set(data, 5);
  return bytes;
}

/** The events of a stream's body. Throws the error with which it ends. */
async function* eventsOf(response: Response): AsyncGenerator<SubscribeResponseJson> {
  let rest = Buffer.alloc(0);
  for await (const chunk of response.body ?? []) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 5) {
      const end = 5 + rest.readUInt32BE(1);
      if (end > maxEventBytes) throw new PlainError("internal", "an event is larger than 16 MiB"); // rule 15
      if (rest.length < end) break;
      const text = rest.toString("utf8", 5, end);
      const isLast = (rest[0] as number) & 2;
      rest = rest.subarray(end);
      if (!isLast) yield JSON.parse(text);
      else if (JSON.parse(text).error) throw readError(JSON.stringify(JSON.parse(text).error), 200);
    }
  }
}

/** The error of an answer: Connect's JSON, or else the page of a proxy, which has no domain (rule 6). */
function readError(body: string, status: number): PlainError {
  let json: { code?: unknown; message?: string; details?: { type: string; value: string }[] } | null = {};
  try {
    json = JSON.parse(body);
  } catch {}
  if (typeof json?.code !== "string") {
    return new PlainError(status === 401 ? "unauthenticated" : "unavailable", `HTTP ${status}`);
  }
  const details = new Map<string, Map<number, unknown>>();
  for (const { type, value } of json.details ?? []) details.set(type, fieldsOf(Buffer.from(value, "base64")));
  const info = details.get("google.rpc.ErrorInfo");
  const violation = details.get("google.rpc.BadRequest")?.get(1);
  const delay = details.get("google.rpc.RetryInfo")?.get(1);
  return new PlainError(
    json.code,
    json.message ?? "",
    String(info?.get(2) ?? ""),
    String(info?.get(1) ?? ""),
    violation ? String(fieldsOf(violation as Buffer).get(1) ?? "") : "",
    delay ? durationMs(fieldsOf(delay as Buffer)) : undefined,
  );
}

function durationMs(fields: Map<number, unknown>): number {
  return Number(fields.get(1) ?? 0) * 1_000 + Number(fields.get(2) ?? 0) / 1e6;
}

/** The first value of each field of an encoded message: bytes or a number. */
function fieldsOf(bytes: Buffer): Map<number, unknown> {
  const fields = new Map<number, unknown>();
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = varint();
    const isBytes = (tag & 7) === 2;
    if (!fields.has(tag >> 3)) fields.set(tag >> 3, isBytes ? bytes.subarray(at, at + number) : number);
    if (isBytes) at += number;
  }
  return fields;
}

/** Resolves after a time, or when the signal is aborted. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, signal.aborted ? 0 : milliseconds);
    signal.addEventListener("abort", done);
  });
}
