import { writeFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test, vi } from "vitest";
import type { PublishRequest } from "../../../gen/tidings/v1/push_service_pb.ts";
import { giveUpMs } from "../../../src/cli/bulk/sender.ts";
import type { Dependencies } from "../../../src/cli/command.ts";
import { fail } from "../../../src/errors.ts";
import { Kind } from "../../../src/gen.ts";
import { serveFake } from "../fake-service.ts";
import { Folder, run, start } from "../harness.ts";

type Refusal = { readonly code: string; readonly reason: string; readonly message: string };

/** A server that stores each request id once. `before` may fail a call; `refuse` may refuse a request. */
async function publishing(
  options: {
    before?: (call: number, requests: readonly PublishRequest[]) => void | Promise<void>;
    refuse?: (request: PublishRequest, call: number) => Refusal | undefined;
  } = {},
) {
  const batches: PublishRequest[][] = [];
  const stored = new Map<string, PublishRequest>();
  const service = await serveFake({
    async publishBatch({ requests }) {
      batches.push(requests);
      await options.before?.(batches.length, requests);
      return {
        outcomes: requests.map((request) => {
          const error = options.refuse?.(request, batches.length);
          if (error !== undefined) return { result: { case: "error" as const, value: error } };
          const duplicate = stored.has(request.requestId);
          stored.set(request.requestId, request);
          return { result: { case: "ok" as const, value: { messageId: `m-${request.requestId}`, duplicate } } };
        }),
      };
    },
  });
  const env = { TIDINGS_URL: service.url, TIDINGS_TOKEN: "a.b.c" };
  return {
    service,
    batches,
    stored,
    env,
    /** The titles of the stored messages, in the order in which they were stored. */
    titles: () => [...stored.values()].map(({ message }) => message?.title),
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

/** A clock on which each wait takes no time and moves it by the time waited for. */
function quickClock() {
  const waits: number[] = [];
  let now = 1_000_000;
  const deps: Partial<Dependencies> = {
    now: () => now,
    after(milliseconds, call) {
      waits.push(milliseconds);
      now += milliseconds;
      const timer = setImmediate(call);
      return () => clearImmediate(timer);
    },
  };
  return { deps, waits };
}

/** The content of a file with these lines. */
function content(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

/** The line of a request to Ada. */
function lineOf(title: string, more: object = {}): string {
  return JSON.stringify({ audience: { userId: "ada" }, message: { title }, ...more });
}

/** An input that a test feeds. */
function pipe() {
  const { readable, writable } = new TransformStream<Uint8Array>();
  const writer = writable.getWriter();
  return {
    input: readable as unknown as AsyncIterable<Uint8Array>,
    write: (text: string) => void writer.write(Buffer.from(text)),
    end: () => void writer.close(),
  };
}

describe("tidings publish --file", () => {
  test("publishes the lines of a file in order, each under an id of its own", async () => {
    await using server = await publishing();
    using folder = new Folder();
    const lines = [lineOf("one"), "", lineOf("two", { requestId: "own" }), lineOf("three")];
    const path = folder.file("a.jsonl", `\ufeff${lines.join("\r\n")}`);
    const { code, stdout, stderr } = await run(["publish", "--file", path, "--run", "r7"], server.env);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "published 3\n", stderr: "" });
    expect(server.titles()).toEqual(["one", "two", "three"]);
    expect([...server.stored.keys()]).toEqual(["r7/1", "own", "r7/4"]);
    expect(server.batches[0]?.[0]).toMatchObject({
      audience: { to: { case: "userId", value: "ada" } },
      message: { kind: Kind.NOTIFICATION },
    });
  });

  test("publishes nothing twice when the command is run again", async () => {
    await using server = await publishing();
    using folder = new Folder();
    const path = folder.file("a.jsonl", `${lineOf("one")}\n${lineOf("two")}\n`);
    await run(["publish", "--file", path], server.env);
    const { code, stdout } = await run(["publish", "--file", path], server.env);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "published 0, published before 2\n" });
    expect(server.stored.size).toBe(2);
    const other = folder.file("b.jsonl", `${lineOf("one")}\n`);
    await run(["publish", "--file", other], server.env);
    await run(["publish", "--file", path, "--category", "news"], server.env);
    expect(server.stored.size, "another file, or other options, are another run").toBe(5);
  });

  test("takes a line as the message alone when the flags name an audience, and fills in what it leaves out", async () => {
    await using server = await publishing();
    using folder = new Folder();
    const lines = ['{"title":"one"}', '{"kind":"KIND_EVENT","category":"own","binary":"AAA=","content_type":"a/b"}'];
    const path = folder.file("a.jsonl", content(lines));
    const flags = ["--to-room", "team/7", "--category", "news", "--ttl", "1h", "--json-payload", "[1]"];
    await run(["publish", "--file", path, ...flags, "--tenant-id", "acme"], server.env);
    expect(server.batches[0]).toMatchObject([
      {
        tenantId: "acme",
        audience: { to: { case: "roomId", value: "team/7" } },
        message: {
          title: "one",
          kind: Kind.NOTIFICATION,
          category: "news",
          ttl: { seconds: 3600n },
          payload: { case: "json" },
        },
      },
      { message: { kind: Kind.EVENT, category: "own", contentType: "a/b", payload: { case: "binary" } } },
    ]);
  });

  test("names each line that cannot be published with the reason, and publishes the others", async () => {
    await using server = await publishing({
      refuse: ({ message }) =>
        message?.title === "refused"
          ? { code: "invalid_argument", reason: "FIELD_INVALID", message: "requests[6].message.title: too\u001blong" }
          : undefined,
    });
    using folder = new Folder();
    const lines: (string | Buffer)[] = [
      lineOf("one"),
      '{"audience":{"userId":"ada"},"mesage":{}}',
      "[1]",
      "{",
      Buffer.from([0x22, 0xc3, 0x22]),
      '{"audience":{"userId":"ada"},"message":{"json":9007199254740993}}',
      lineOf("refused"),
      lineOf("two"),
      '{"audience":{"userId":"a',
    ];
    const path = folder.file("a.jsonl", "");
    writeFileSync(path, Buffer.concat(lines.flatMap((line, i) => [Buffer.from(line), Buffer.from(i < 8 ? "\n" : "")])));
    const { code, stdout, stderr } = await run(["publish", "--file", path, "--run", "r"], server.env);
    expect([code, stdout]).toEqual([1, "published 2, failed 7\n"]);
    expect(stderr.split("\n")).toEqual([
      "line 2: mesage: is not in the contract; did you mean message?",
      "line 3: must be a JSON object",
      "line 4: is not JSON",
      "line 5: is not UTF-8",
      "line 6: message.json: has the integer 9007199254740993, which a double cannot hold; send it as a string",
      "line 7: invalid_argument FIELD_INVALID: message.title: too\\u{1b}long",
      "line 9: is not JSON; the input ends within it",
      "after correcting the lines that failed, run the command again with --run r: it publishes the others once",
      "",
    ]);
    expect(server.titles()).toEqual(["one", "two"]);
  });

  test("skips a line that is too long for any server", async () => {
    await using server = await publishing();
    using folder = new Folder();
    const path = folder.file("a.jsonl", content([lineOf("x".repeat(5_000_000)), lineOf("short")]));
    const { code, stderr } = await run(["publish", "--file", path], server.env);
    expect([code, stderr.split("\n")[0]]).toEqual([1, "line 1: is longer than 4194304 bytes"]);
    expect(server.titles()).toEqual(["short"]);
  });

  test("prints the outcome of each line under --json, in their order", async () => {
    await using server = await publishing({
      refuse: ({ message }) =>
        message?.title === "no" ? { code: "permission_denied", reason: "CATEGORY_RESERVED", message: "no" } : undefined,
    });
    using folder = new Folder();
    const path = folder.file("a.jsonl", ["{", lineOf("yes"), lineOf("no")].join("\n"));
    const { stdout, stderr } = await run(["publish", "--file", path, "--json", "--run", "r"], server.env);
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { line: 1, error: { code: "invalid_argument", message: "is not JSON" } },
      { line: 2, requestId: "r/2", messageId: "m-r/2", duplicate: false },
      { line: 3, requestId: "r/3", error: { code: "permission_denied", reason: "CATEGORY_RESERVED", message: "no" } },
    ]);
    expect(stderr).toContain("published 1, failed 2\n");
  });

  test("publishes a line of a pipe when it arrives, and reads no further than it publishes", async () => {
    let release = () => {};
    const blocked = new Promise<void>((resolve) => {
      release = resolve;
    });
    await using server = await publishing({ before: (call) => (call === 2 ? blocked : undefined) });
    let chunks = 0;
    const input = (async function* () {
      for (; chunks < 50; chunks++) yield Buffer.from(`${lineOf(`${chunks}`)}\n`);
    })();
    const running = start(["publish", "--file", "-"], server.env, {}, false, input);
    await vi.waitFor(() => expect(server.batches).toHaveLength(2));
    expect(server.titles()).toEqual(["0"]);
    expect(chunks).toBeLessThanOrEqual(2);
    release();
    expect(await running.code).toBe(0);
    expect(running.stderr()).toMatch(/^the name of this run is [0-9a-f]{32}\n$/);
    expect(server.titles()).toHaveLength(50);
  });

  test("keeps nothing of the lines that are published", async () => {
    await using server = await publishing();
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const chunks: WeakRef<ArrayBufferLike>[] = [];
    let alive = 0;
    const input = (async function* () {
      for (let i = 0; i < 40; i++) {
        const chunk = Buffer.from(`${lineOf("x".repeat(500))}\n`.repeat(100));
        chunks.push(new WeakRef(chunk.buffer));
        yield chunk;
      }
      // A WeakRef keeps its target until the event loop has gone round.
      await new Promise((resolve) => setImmediate(resolve));
      collect();
      alive = chunks.filter((chunk) => chunk.deref() !== undefined).length;
    })();
    const running = start(["publish", "--file", "-"], server.env, {}, false, input);
    expect(await running.code).toBe(0);
    expect(alive).toBeLessThan(5);
  });

  test("sends at most 1,000 requests, 1 MiB and 10,000 inbox entries at once", async () => {
    await using server = await publishing();
    using folder = new Folder();
    const userIds = Array.from({ length: 4_000 }, (_, i) => `u${i}`);
    const lines = [
      ...Array.from({ length: 1_001 }, () => "{}"),
      ...Array.from({ length: 3 }, () => JSON.stringify({ content: "x".repeat(500_000) })),
    ];
    await run(["publish", "--to-user", "ada", "--file", folder.file("a.jsonl", content(lines))], server.env);
    expect(server.batches.flat()).toHaveLength(1_004);
    for (const batch of server.batches) {
      expect(batch.length).toBeLessThanOrEqual(1_000);
      expect(batch.reduce((sum, { message }) => sum + (message?.content.length ?? 0), 0)).toBeLessThanOrEqual(
        1_000_000,
      );
    }
    server.batches.length = 0;
    const many = Array.from({ length: 5 }, () => JSON.stringify({ audience: { users: { userIds } }, message: {} }));
    await run(["publish", "--file", folder.file("b.jsonl", content(many))], server.env);
    expect(server.batches.map((batch) => batch.length)).toEqual([2, 2, 1]);
  });

  test("keeps to --rate in small steps", async () => {
    await using server = await publishing();
    using folder = new Folder();
    const { deps, waits } = quickClock();
    const path = folder.file("a.jsonl", content(Array.from({ length: 10 }, () => "{}")));
    await run(["publish", "--to-user", "ada", "--file", path, "--rate", "8"], server.env, deps);
    expect(server.batches.map((batch) => batch.length)).toEqual([2, 2, 2, 2, 2]);
    expect(waits).toEqual([250, 250, 250, 250]);
  });

  test("repeats a call that fails for now under the same ids, and waits as long as the server asks", async () => {
    await using server = await publishing({
      before(call) {
        if (call === 1) throw new ConnectError("bad gateway", Code.Unavailable);
        if (call === 2) throw fail("RATE_LIMITED", "too many", { retryAfterMs: 7_000 });
      },
    });
    using folder = new Folder();
    const { deps, waits } = quickClock();
    const path = folder.file("a.jsonl", lineOf("one"));
    const { code, stdout, stderr } = await run(["publish", "--file", path, "--run", "r"], server.env, deps);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: "unavailable: bad gateway; retrying\nresource_exhausted: too many; retrying\n",
    });
    expect(stdout).toMatch(/^published 1,/);
    expect(server.batches.map(([request]) => request?.requestId)).toEqual(["r/1", "r/1", "r/1"]);
    expect(waits[0]).toBeLessThan(500);
    expect(waits[1]).toBeGreaterThanOrEqual(7_000);
    expect(waits[1]).toBeLessThan(7_500);
  });

  test("reports a rate limit once, however many batches meet it", async () => {
    await using server = await publishing({
      before(call) {
        if (call === 1) throw new ConnectError("bad gateway", Code.Unavailable);
        if (call % 2 === 0) throw fail("RATE_LIMITED", "too many", { retryAfterMs: 120_000 });
      },
    });
    using folder = new Folder();
    const path = folder.file("a.jsonl", content(["one", "two", "three", "four"].map((title) => lineOf(title))));
    const argv = ["publish", "--file", path, "--rate", "4"];
    const { code, stderr } = await run(argv, server.env, quickClock().deps);
    expect(code).toBe(0);
    expect(stderr.match(/too many; retrying/g)).toHaveLength(1);
    expect(server.titles()).toEqual(["one", "two", "three", "four"]);
  });

  test("repeats only those requests of a batch that failed for now, before it goes on", async () => {
    await using server = await publishing({
      refuse: ({ message }, call) =>
        call === 1 && message?.title === "two" ? { code: "unavailable", reason: "", message: "later" } : undefined,
    });
    using folder = new Folder();
    const path = folder.file("a.jsonl", content(["one", "two", "three"].map((title) => lineOf(title))));
    const { code } = await run(["publish", "--file", path], server.env, quickClock().deps);
    expect(code).toBe(0);
    expect(server.batches.map((batch) => batch.map(({ message }) => message?.title))).toEqual([
      ["one", "two", "three"],
      ["two"],
    ]);
  });

  test("halves a batch that the server finds too large, and refuses only the line that is too large by itself", async () => {
    await using server = await publishing({
      before(_, requests) {
        if (requests.length > 1 || requests[0]?.message?.title === "big") {
          throw fail("REQUEST_TOO_LARGE", "send fewer", { field: "requests" });
        }
      },
    });
    using folder = new Folder();
    const path = folder.file("a.jsonl", ["one", "big", "two", "three"].map((title) => lineOf(title)).join("\n"));
    const { code, stderr } = await run(["publish", "--file", path], server.env);
    expect(code).toBe(1);
    expect(stderr).toContain("line 2: resource_exhausted REQUEST_TOO_LARGE: ");
    expect(server.titles()).toEqual(["one", "two", "three"]);
  });

  test("gives up on a server that does not come back, and says how to go on", async () => {
    await using server = await publishing({
      before(call) {
        if (call > 1) throw new ConnectError("away", Code.Unavailable);
      },
    });
    using folder = new Folder();
    const { deps, waits } = quickClock();
    const path = folder.file("a.jsonl", Array.from({ length: 8 }, (_, i) => lineOf(`${i}`)).join("\n"));
    const { code, stderr } = await run(["publish", "--file", path, "--rate", "8", "--run", "r"], server.env, deps);
    expect(code).toBe(1);
    expect(stderr.split("\n").slice(-3)).toEqual([
      "stopped before line 3; to go on, run the command again with --run r --from-line 3",
      "error: unavailable: away",
      "",
    ]);
    expect(waits.reduce((sum, wait) => sum + wait, 0)).toBeGreaterThanOrEqual(giveUpMs);
  });

  test("stops at once when the server refuses the token or the role", async () => {
    await using server = await publishing({
      before() {
        throw fail("ROLE_FORBIDDEN", "not for users");
      },
    });
    using folder = new Folder();
    const path = folder.file("a.jsonl", lineOf("one"));
    const { code, stderr } = await run(["publish", "--file", path, "--run", "r"], server.env);
    expect([code, server.batches.length]).toEqual([1, 1]);
    expect(stderr).toContain("error: permission_denied ROLE_FORBIDDEN: not for users\n");
  });

  test("finishes the call that is under way at Ctrl-C, says how to go on, and goes on from there", async () => {
    let release = () => {};
    const blocked = new Promise<void>((resolve) => {
      release = resolve;
    });
    await using server = await publishing({ before: (call) => (call === 1 ? blocked : undefined) });
    using folder = new Folder();
    const path = folder.file("a.jsonl", Array.from({ length: 2_500 }, (_, i) => lineOf(`${i}`)).join("\n"));
    const argv = ["publish", "--file", path, "--run", "r"];
    const running = start(argv, server.env);
    await vi.waitFor(() => expect(server.batches).toHaveLength(1));
    expect(running.signal()).toBe(true);
    release();
    expect(await running.code).toBe(1);
    expect(server.batches).toHaveLength(1);
    const { length } = server.batches[0] as PublishRequest[];
    expect(running.stdout()).toBe(`published ${length}\n`);
    const next = `--run r --from-line ${length + 1}`;
    expect(running.stderr()).toBe(`stopped before line ${length + 1}; to go on, run the command again with ${next}\n`);
    expect((await run([...argv, "--from-line", `${length + 1}`], server.env)).stdout).toBe(
      `published ${2_500 - length}\n`,
    );
    expect(server.titles()).toEqual(Array.from({ length: 2_500 }, (_, i) => `${i}`));
  });

  test("aborts the call that is under way at a second Ctrl-C", async () => {
    await using server = await publishing({ before: () => new Promise<void>(() => {}) });
    using folder = new Folder();
    let now = 0;
    const path = folder.file("a.jsonl", lineOf("one"));
    const running = start(["publish", "--file", path, "--run", "r"], server.env, { now: () => now });
    await vi.waitFor(() => expect(server.batches).toHaveLength(1));
    running.signal();
    now += 1_000;
    running.signal();
    expect(await running.code).toBe(1);
    expect(running.stderr()).toContain("stopped before line 1;");
  });

  test("stops at Ctrl-C while a pipe is silent, and while it waits for the server", async () => {
    await using server = await publishing();
    const { input, write } = pipe();
    write(`${lineOf("one")}\n`);
    const running = start(["publish", "--file", "-", "--run", "r"], server.env, {}, false, input);
    await vi.waitFor(() => expect(server.stored.size).toBe(1));
    running.signal();
    expect(await running.code).toBe(1);
    expect(running.stderr()).toContain("stopped before line 2;");
    await server[Symbol.asyncDispose]();
    using folder = new Folder();
    const path = folder.file("a.jsonl", lineOf("one"));
    const waiting = start(["publish", "--file", path], server.env);
    await vi.waitFor(() => expect(waiting.stderr()).toContain("; retrying"));
    waiting.signal();
    expect(await waiting.code).toBe(1);
    expect(waiting.signal(), "a listener is left").toBe(false);
  });

  test("rewrites one line of progress on a terminal, and elsewhere prints one every ten seconds", async () => {
    await using server = await publishing();
    using folder = new Folder();
    const path = folder.file("a.jsonl", content(Array.from({ length: 40 }, () => "{}")));
    const argv = ["publish", "--to-user", "ada", "--file", path, "--rate", "2"];
    const plain = await run(argv, server.env, quickClock().deps);
    expect(plain.stderr.split("\n")).toEqual(["52 %: published 21, 2 a second", ""]);
    expect(plain.stdout).toBe("published 40, 2 a second\n");
    const terminal = start([...argv, "--run", "r"], server.env, quickClock().deps, true);
    await terminal.code;
    expect(terminal.stderr()).toContain("\r52 %: published 21, 2 a second\u001b[K\r");
    expect(terminal.stderr()).not.toContain("\n");
    expect(terminal.stderr().endsWith("\r\u001b[K")).toBe(true);
  });

  test.each([
    [["--rate", "5", "--to-user", "ada"], "--rate needs --file"],
    [["--from-line", "5", "--to-user", "ada"], "--from-line needs --file"],
    [["--file", "-", "--request-id", "x"], "--request-id is for one message; write it into the lines"],
    [["--file", "-", "--to-user", "ada", "--to-tenant"], "set exactly one of --to-user"],
    [["--file", "-", "--run", "a b"], "--run: must be 1 to 100 visible ASCII characters"],
  ])("refuses %j as a usage error", async (argv, sentence) => {
    const { code, stderr } = await run(["publish", ...argv], { TIDINGS_TOKEN: "a.b.c" });
    expect(code).toBe(2);
    expect(stderr).toContain(sentence);
  });

  test.each([
    ["/nowhere/a.jsonl", "no such file"],
    ["/", "it is a folder"],
  ])("says why it cannot read %s", async (path, reason) => {
    const { code, stderr } = await run(["publish", "--file", path], { TIDINGS_TOKEN: "a.b.c" });
    expect(code).toBe(1);
    expect(stderr).toContain(`error: --file: cannot read ${path}: ${reason}\n`);
  });
});
