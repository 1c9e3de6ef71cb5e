/** Faults that clients have had, as edits of the plain client, each with the scenarios that must catch it. */

/** One fault. */
export interface Fault {
  /** The client that has it does this. */
  readonly name: string;
  /** The text in plain-client.ts, which is there once, and the text in its place. */
  readonly edits: readonly (readonly [text: string, replacement: string])[];
  /** Each of these scenarios must fail. */
  readonly caughtBy: readonly string[];
}

/** The faults. */
export const faults: readonly Fault[] = [
  {
    name: "takes positions from messages only",
    edits: [
      ["this.#advance((hello.positions ?? []).filter(isKnown));", ""],
      ["this.#advance(caughtUp.positions);", ""],
      ["this.#advance(to && [to]);", ""],
      ["else if (heartbeat) this.#advance(heartbeat.positions);", "else if (heartbeat) return;"],
    ],
    caughtBy: ["position-caught-up", "position-heartbeat", "position-hello", "gap"],
  },
  {
    name: "takes no positions from messages",
    edits: [["      this.#advance([position]);\n", ""]],
    caughtBy: ["position-messages", "resets", "duplicates", "old-stream"],
  },
  {
    name: "moves positions back",
    edits: [["if (!this.#isKnown(position)) this.#positions.set", "this.#positions.set"]],
    caughtBy: ["position-messages"],
  },
  {
    name: "keeps a seq as a double",
    edits: [["{ epoch, seq: BigInt(seq) })", "{ epoch, seq: BigInt(Number(seq)) })"]],
    caughtBy: ["position-large"],
  },
  {
    name: "gives duplicates",
    edits: [["if (this.#isKnown(position)) return; // rule 2", ""]],
    caughtBy: ["duplicates"],
  },
  {
    name: "ignores epochs",
    edits: [["known.epoch === epoch && ", ""]],
    caughtBy: ["epoch"],
  },
  {
    name: "drops events without a position",
    edits: [["    if (position) {\n", "    if (!position) return;\n    if (position) {\n"]],
    caughtBy: ["events-without-position"],
  },
  {
    name: "waits for a silent stream for ever",
    edits: [["if (silenceMs > 0) timer = setTimeout(overdue, silenceMs);", ""]],
    caughtBy: ["silence"],
  },
  {
    name: "drops a stream after one heartbeat interval",
    edits: [["silenceMs = 2_000 * ", "silenceMs = 1_000 * "]],
    caughtBy: ["silence"],
  },
  {
    name: "waits for Hello for ever",
    edits: [["setTimeout(overdue, 10_000); // rule 3", "setTimeout(overdue, 600_000);"]],
    caughtBy: ["no-hello"],
  },
  {
    name: "reconnects without a back-off",
    edits: [["Math.random() * Math.min(30_000, 500 * 2 ** Math.min(failures, 6))", "10 * Math.sign(failures + 2)"]],
    caughtBy: ["backoff", "no-hot-loop"],
  },
  {
    name: "never forgets a failure",
    edits: [[" - Math.floor(uptimeMs / 500)", ""]],
    caughtBy: ["resets"],
  },
  {
    name: "ignores the delay of GoAway",
    edits: [['goAway.reason, "", retryAfterMs)', 'goAway.reason, "")']],
    caughtBy: ["go-away"],
  },
  {
    name: "ignores RetryInfo",
    edits: [["delay ? durationMs(fieldsOf(delay as Buffer)) : undefined", "undefined"]],
    caughtBy: ["retry-info", "publish-retry-info"],
  },
  {
    name: "retries final errors",
    edits: [['error.domain === "tidings" && finalCodes.includes(code)', "false"]],
    caughtBy: ["final-errors"],
  },
  {
    name: "gives up at a final code of a gateway",
    edits: [['error.domain === "tidings" && finalCodes', "finalCodes"]],
    caughtBy: ["retried-errors"],
  },
  {
    name: "takes the ErrorInfo of a gateway for one of Tidings",
    edits: [['error.domain === "tidings" && finalCodes', 'error.domain !== "" && finalCodes']],
    caughtBy: ["retried-errors"],
  },
  {
    name: "gives up at 403 of a proxy",
    edits: [
      [
        'new PlainError(status === 401 ? "unauthenticated"',
        'status === 403 ? new PlainError("not_found", "", "tidings") : new PlainError(status === 401 ? "unauthenticated"',
      ],
    ],
    caughtBy: ["proxy-errors"],
  },
  {
    name: "gives up at 503 of a proxy",
    edits: [
      [
        'new PlainError(status === 401 ? "unauthenticated"',
        'status === 503 ? new PlainError("not_found", "", "tidings") : new PlainError(status === 401 ? "unauthenticated"',
      ],
    ],
    caughtBy: ["proxy-unavailable"],
  },
  {
    name: "takes the end of a stream for its own end",
    edits: [['throw new PlainError("unavailable", "the stream ended");', "await new Promise(() => {});"]],
    caughtBy: ["ends-without-error"],
  },
  {
    name: "keeps positions that the server refused",
    edits: [["this.#positions.clear(); // rule 7", ""]],
    caughtBy: ["positions-refused"],
  },
  {
    name: "never asks for a fresh token",
    edits: [["    this.#token = undefined;\n    this.#refresh = true;\n", ""]],
    caughtBy: ["token-expiry", "token-shared", "publish-token"],
  },
  {
    name: "does not tell the token function that its token was refused",
    edits: [["    this.#refresh = true;\n", ""]],
    caughtBy: ["token-expiry"],
  },
  {
    name: "asks for one fresh token after the other",
    edits: [["if (++refusals === 1) continue;", "continue;"]],
    caughtBy: ["token-refused"],
  },
  {
    name: "never counts a refusal as a first one again",
    edits: [["if (uptimeMs >= 1_000) refusals = 0;", ""]],
    caughtBy: ["token-expiry"],
  },
  {
    name: "gives up when the token function fails",
    edits: [
      [
        "      throw asError(error);\n    } finally {\n      late",
        '      throw new PlainError("not_found", String(error), "tidings");\n    } finally {\n      late',
      ],
    ],
    caughtBy: ["token-function-fails"],
  },
  {
    name: "waits for the token function for ever",
    edits: [["pause(30_000, late.signal)", "pause(600_000, late.signal)"]],
    caughtBy: ["token-function-hangs"],
  },
  {
    name: "fetches a token for each call",
    edits: [["this.#token ??= this.#options", "this.#token = this.#options"]],
    caughtBy: ["token-shared"],
  },
  {
    name: "counts the replay twice",
    edits: [["      this.#counting = false;\n", "      this.#counting = true;\n"]],
    caughtBy: ["totals-replay"],
  },
  {
    name: "counts only after CaughtUp, although a read_state came",
    edits: [
      [
        "        this.#counting = true;\n        await this.#setTotals(readState",
        "        await this.#setTotals(readState",
      ],
    ],
    caughtBy: ["totals-read-state"],
  },
  {
    name: "counts every kind of message",
    edits: [['if (kind === "KIND_NOTIFICATION") await', "await"]],
    caughtBy: ["totals-kinds"],
  },
  {
    name: "names any number of categories",
    edits: [[" || Object.keys(byCategory).length < 100", " || true"]],
    caughtBy: ["totals-categories"],
  },
  {
    name: "takes the totals of every answer",
    edits: [
      ["answer.unread && BigInt(answer.unread.version ?? 0) > BigInt(this.#totals?.version ?? 0)", "answer.unread"],
    ],
    caughtBy: ["totals-answers"],
  },
  {
    name: "forgets its rooms when it reconnects",
    edits: [
      [
        "    const rooms = [...this.#rooms].map(",
        "    const rooms = [...(this.#positions.size > 0 ? [] : this.#rooms)].map(",
      ],
    ],
    caughtBy: ["rooms-reconnect", "rooms-refused"],
  },
  {
    name: "forgets its filters when it reconnects",
    edits: [
      ["return { ...this.#filters, rooms,", "return { ...(this.#positions.size > 0 ? {} : this.#filters), rooms,"],
    ],
    caughtBy: ["rooms-reconnect"],
  },
  {
    name: "joins without a new stream",
    edits: [["if (this.#greeted) this.#stream?.abort(resubscribe);", ""]],
    caughtBy: ["rooms-join", "rooms-leave", "old-stream"],
  },
  {
    name: "takes the position of Hello for a new room",
    edits: [[".filter(isKnown)", ""]],
    caughtBy: ["rooms-join"],
  },
  {
    name: "keeps the position of a room that it has left",
    edits: [
      ["    this.#positions.delete(`room", "    void (`room"],
      ['!feed.startsWith("room/") || this.#rooms.has(feed.slice("room/".length))', "feed !== undefined"],
    ],
    caughtBy: ["rooms-leave"],
  },
  {
    name: "returns to rooms from which it was kicked",
    edits: [['if (name === "KICKED") this.#rooms.delete(roomId);', ""]],
    caughtBy: ["rooms-kicked", "rooms-last"],
  },
  {
    name: "takes a room back from others when it reconnects",
    edits: [['held && mode === "ROOM_MODE_LAST" ? "ROOM_MODE_FIRST" : mode', "mode"]],
    caughtBy: ["rooms-last"],
  },
  {
    name: "has another instance_id at each reconnect",
    edits: [
      [
        "{ ...this.#filters, rooms, positions }",
        "{ ...this.#filters, instanceId: crypto.randomUUID(), rooms, positions }",
      ],
    ],
    caughtBy: ["rooms-last"],
  },
  {
    name: "keeps a seq as a signed number",
    edits: [["BigInt(seq) <= known.seq", "BigInt.asIntN(64, BigInt(seq)) <= BigInt.asIntN(64, known.seq)"]],
    caughtBy: ["position-large"],
  },
  {
    name: "stops at an unknown event",
    edits: [
      [
        "    // Anything else is an event of a newer server (rule 14).\n",
        '    else throw new PlainError("internal", "an unknown event");\n',
      ],
    ],
    caughtBy: ["unknown-events"],
  },
  {
    name: "reads UTF-8 as another encoding",
    edits: [['rest.toString("utf8",', 'rest.toString("latin1",']],
    caughtBy: ["message-fields"],
  },
  {
    name: "decodes each chunk by itself",
    edits: [
      [
        "    rest = Buffer.concat([rest, chunk]);",
        "    rest = Buffer.concat([rest.length > 4 ? Buffer.alloc(0) : rest, chunk]);",
      ],
    ],
    caughtBy: ["pieces", "large-message"],
  },
  {
    name: "takes answers of at most 4 MiB",
    edits: [
      ["JSON.parse(await response.text()) as T", "JSON.parse((await response.text()).slice(0, 4 * 1024 * 1024)) as T"],
    ],
    caughtBy: ["large-page"],
  },
  {
    name: "takes messages of at most 4 MiB",
    edits: [["16 * 1024 * 1024;", "4 * 1024 * 1024;"]],
    caughtBy: ["large-message"],
  },
  {
    name: "loses what its application does not take at once",
    edits: [
      [
        '    await this.#print({ type: "message", message });\n',
        '    if (process.stdout.writableLength === 0 || Math.random() < 0.9) await this.#print({ type: "message", message });\n',
      ],
    ],
    caughtBy: ["backpressure"],
  },
  {
    name: "ends a list at a short page",
    edits: [
      [
        '      if (pageToken === "") return;',
        '      if (pageToken === "" || (page.messages ?? []).length < 5) return;',
      ],
    ],
    caughtBy: ["lists"],
  },
  {
    name: "ends a list at an empty page",
    edits: [['      if (pageToken === "") return;', '      if (pageToken === "" || !page.messages?.length) return;']],
    caughtBy: ["lists"],
  },
  {
    name: "publishes without a request_id",
    edits: [["requestId: request.requestId || crypto.randomUUID() };", 'requestId: request.requestId ?? "" };']],
    caughtBy: ["publish-retry"],
  },
  {
    name: "publishes a retry under another request_id",
    edits: [
      [
        'this.call<PublishResponseJson>("Publish", withId, deadline)',
        'this.call<PublishResponseJson>("Publish", { ...withId, requestId: crypto.randomUUID() }, deadline)',
      ],
    ],
    caughtBy: ["publish-retry", "publish-request-id", "publish-retry-info"],
  },
  {
    name: "gives up a publish at its first error",
    edits: [["if (!mayRetry || ", "if (mayRetry || "]],
    caughtBy: ["publish-retry", "publish-proxy", "publish-request-id"],
  },
  {
    name: "retries a full quota",
    edits: [[' || reason === "QUOTA_EXCEEDED"', ""]],
    caughtBy: ["publish-final"],
  },
  {
    name: "retries a publish for ever",
    edits: [
      [" || isLate) throw error;", ") throw error;"],
      ["Math.max(1, Math.round(deadline - performance.now()))", "30_000"],
    ],
    caughtBy: ["publish-backoff"],
  },
  {
    name: "hides the field of an error",
    edits: [['violation ? String(fieldsOf(violation as Buffer).get(1) ?? "") : ""', '""']],
    caughtBy: ["publish-final"],
  },
  {
    name: "repeats a whole batch for one item",
    edits: [
      [
        "if (waiting.length > 0) await pause",
        "if (again.length > 0) waiting = items;\n        if (waiting.length > 0) await pause",
      ],
    ],
    caughtBy: ["batch-partial"],
  },
  {
    name: "repeats a batch under other request_ids",
    edits: [
      [
        'this.call<PublishBatchResponseJson>("PublishBatch", request, by)',
        'this.call<PublishBatchResponseJson>("PublishBatch", { requests: request.requests.map((each) => ({ ...each, requestId: crypto.randomUUID() })) }, by)',
      ],
    ],
    caughtBy: ["batch-retry", "batch-partial"],
  },
  {
    name: "gives up items of a batch that may succeed later",
    edits: [["const isOver = ok || ", "const isOver = ok || error || "]],
    caughtBy: ["batch-partial"],
  },
  {
    name: "sends a batch in one request, whatever its size",
    edits: [["index > 0 && (index === 1_000 || bytes > 1024 * 1024)", "index > 0 && bytes < 0"]],
    caughtBy: ["batch-limits"],
  },
  {
    name: "sends a batch of 1,000 items, whatever their size",
    edits: [[" || bytes > 1024 * 1024)", ")"]],
    caughtBy: ["batch-limits"],
  },
];
