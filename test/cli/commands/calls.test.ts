import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { DisconnectRequest } from "../../../gen/tidings/v1/admin_service_pb.ts";
import type {
  ListUnreadRequest,
  MarkReadRequest,
  OnlineCountRequest,
  PublishRequest,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { fail } from "../../../src/errors.ts";
import { Kind } from "../../../src/gen.ts";
import { type FakeService, serveFake } from "../fake-service.ts";
import { run, start } from "../harness.ts";

/** Runs a command with a token against a fake service. */
function call(service: FakeService, ...argv: readonly string[]) {
  return run(argv, { TIDINGS_URL: service.url, TIDINGS_TOKEN: "a.b.c" });
}

describe("tidings publish", () => {
  async function publishing(answer: object = { messageId: "m1" }) {
    const requests: PublishRequest[] = [];
    const service = await serveFake({
      publish(request) {
        requests.push(request);
        return answer;
      },
    });
    return { service, requests };
  }

  test("sends the message of its flags with the token, and prints the receipts", async () => {
    const { service, requests } = await publishing({
      messageId: "m1",
      receipts: [
        { userId: "ada", stored: true, online: true, connections: 2 },
        { userId: "bob", stored: true },
      ],
    });
    await using _ = service;
    const argv = [
      "publish",
      "--to-users",
      "ada,bob",
      "--kind",
      "event",
      "--title",
      "Hi",
      "--content",
      "text",
      "--category",
    ];
    argv.push(
      "system",
      "--link",
      "/x",
      "--event",
      "done",
      "--json-payload",
      '{"a":[1]}',
      "--ttl",
      "1500ms",
      "--request-id",
      "r1",
    );
    const { code, stdout, stderr } = await call(service, ...argv);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toBe("published m1\n  ada: stored, online on 2 streams\n  bob: stored, offline\n");
    expect(service.tokens).toEqual(["Bearer a.b.c"]);
    expect(requests[0]).toMatchObject({
      tenantId: "",
      requestId: "r1",
      audience: { to: { case: "users", value: { userIds: ["ada", "bob"] } } },
      message: {
        kind: Kind.EVENT,
        title: "Hi",
        content: "text",
        category: "system",
        url: "/x",
        event: "done",
        payload: { case: "json" },
        ttl: { seconds: 1n, nanos: 500_000_000 },
      },
    });
  });

  test.each([
    [["--to-user", "ada"], { case: "userId", value: "ada" }],
    [["--to-tenant", "--tenant-id", "acme"], { case: "tenant", value: true }],
    [["--to-everyone"], { case: "everyone", value: true }],
    [["--to-room", "dm/a,b/c"], { case: "roomId", value: "dm/a,b/c" }],
  ])("sends the audience of %j, and by default a notification without a ttl", async (argv, to) => {
    const { service, requests } = await publishing();
    await using _ = service;
    expect((await call(service, "publish", ...argv)).code).toBe(0);
    expect(requests[0]?.audience?.to).toEqual(to);
    expect(requests[0]?.message).toMatchObject({ kind: Kind.NOTIFICATION, payload: { case: undefined } });
    expect(requests[0]?.message?.ttl).toBeUndefined();
    expect(requests[0]?.tenantId).toBe(argv.includes("acme") ? "acme" : "");
  });

  test("sends --replace, --request-id and --batch-id", async () => {
    const { service, requests } = await publishing();
    await using _ = service;
    await call(service, "publish", "--to-user", "ada", "--request-id", "r1", "--replace", "--batch-id", "b1");
    await call(service, "publish", "--to-user", "ada");
    expect(requests.map(({ requestId, replace, message }) => [requestId, replace, message?.batchId])).toEqual([
      ["r1", true, "b1"],
      ["", false, ""],
    ]);
  });

  test("prints the response under --json", async () => {
    const { service } = await publishing({ messageId: "m1", onlineUsers: 3, duplicate: true });
    await using _ = service;
    const { stdout } = await call(service, "publish", "--to-tenant", "--json");
    expect(JSON.parse(stdout)).toEqual({ messageId: "m1", onlineUsers: 3, duplicate: true, receipts: [] });
    expect((await call(service, "publish", "--to-tenant")).stdout).toBe(
      "published m1, 3 online, already published with this request id\n",
    );
  });

  test.each([
    [[]],
    [["--to-user", "ada", "--to-tenant"]],
    [["--to-room", "r", "--to-user", "ada"]],
    [["--no-to-tenant"]],
  ])("refuses %j, which is not exactly one audience", async (argv) => {
    const { service, requests } = await publishing();
    await using _ = service;
    const { code, stderr } = await call(service, "publish", "--title", "x", ...argv);
    expect(code).toBe(2);
    expect(stderr).toContain("set exactly one of --to-user, ");
    expect(requests).toEqual([]);
  });
});

describe("A command that calls the server", () => {
  test("prints the code, the reason and the message of an error", async () => {
    await using service = await serveFake({
      publish() {
        throw fail("FIELD_INVALID", "must be short\u001b[2J", { field: "message.title" });
      },
    });
    expect(await call(service, "publish", "--to-user", "ada")).toEqual({
      code: 1,
      stdout: "",
      stderr: "error: invalid_argument FIELD_INVALID: message.title: must be short\\u{1b}[2J\n",
    });
  });

  test("prints only code and message of an error without a reason", async () => {
    await using service = await serveFake({
      onlineCount() {
        throw new ConnectError("not now", Code.Unavailable);
      },
    });
    expect((await call(service, "online")).stderr).toBe("error: unavailable: not now\n");
  });

  test("reports a server that is down", async () => {
    const service = await serveFake({});
    await service[Symbol.asyncDispose]();
    const { code, stderr } = await call(service, "online");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: unavailable: .*ECONNREFUSED.*\n$/);
  });

  test.each([["publish", "--to-user", "ada"], ["tail"], ["unread"], ["online"], ["disconnect", "--user", "ada"]])(
    "needs a token: %s is a usage error without one",
    async (name, ...flags) => {
      const { code, stderr } = await run([name, ...flags]);
      expect(code).toBe(2);
      expect(stderr).toContain(`${name} needs a token: set TIDINGS_TOKEN`);
    },
  );
});

describe("tidings unread", () => {
  /** An inbox of `count` messages, newest first, on pages of at most 100. */
  async function inbox(count: number) {
    const lists: ListUnreadRequest[] = [];
    const marks: MarkReadRequest[] = [];
    const service = await serveFake({
      listUnread(request) {
        lists.push(request);
        const from = Number(request.pageToken || "0");
        const to = Math.min(count, from + request.pageSize);
        const messages = Array.from({ length: to - from }, (_, i) => ({
          id: `m${from + i}`,
          kind: Kind.NOTIFICATION,
          category: "system",
          title: `title ${from + i}`,
          url: "/x",
          publishTime: { seconds: 1_793_700_000n, nanos: 0 },
        }));
        return {
          messages,
          nextPageToken: to < count ? String(to) : "",
          unread: { total: count, byCategory: count > 0 ? { system: count } : {} },
        };
      },
      markRead(request) {
        marks.push(request);
        const changed = request.target.case === "ids" ? request.target.value.messageIds.length : 0;
        return { changed, unread: { total: 5, byCategory: { "": 5 } } };
      },
    });
    return { service, lists, marks };
  }

  test("prints one line per message, and the totals", async () => {
    const { service, marks } = await inbox(2);
    await using _ = service;
    const { code, stdout } = await call(service, "unread");
    expect(code).toBe(0);
    expect(stdout.split("\n")).toEqual([
      expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}notification {2}\[system\] {2}title 0 {2}\/x$/),
      expect.stringContaining("title 1"),
      "unread: 2 (system 2)",
      "",
    ]);
    expect(marks).toEqual([]);
  });

  test("lists page by page up to the limit, and --mark marks only the listed messages", async () => {
    const { service, lists, marks } = await inbox(2_000);
    await using _ = service;
    const { stdout } = await call(service, "unread", "--limit", "1050", "--mark", "--categories", "system");
    expect(lists.map(({ pageSize }) => pageSize)).toEqual([...Array.from({ length: 10 }, () => 100), 50]);
    expect(lists.every(({ categories }) => categories.join() === "system")).toBe(true);
    const ids = marks.map(({ target }) => (target.case === "ids" ? target.value.messageIds : []));
    expect(ids.map((each) => each.length)).toEqual([1_000, 50]);
    expect(new Set(ids.flat()).size).toBe(1_050);
    expect(stdout).toMatch(/unread: 2000 \(system 2000\)\nmarked 1050 as read, unread: 5 \(\(none\) 5\)\n$/);
  });

  test("prints the responses under --json, one document per line", async () => {
    const { service } = await inbox(1);
    await using _ = service;
    const { stdout } = await call(service, "unread", "--mark", "--json");
    const [listed, marked, ...rest] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(listed).toMatchObject({ messages: [{ id: "m0", kind: "KIND_NOTIFICATION" }], unread: { total: 1 } });
    expect(marked).toMatchObject({ changed: 1 });
    expect(rest).toEqual([]);
  });

  test("marks nothing when the inbox is empty", async () => {
    const { service, marks } = await inbox(0);
    await using _ = service;
    expect((await call(service, "unread", "--mark")).stdout).toBe("unread: 0\n");
    expect(marks).toEqual([]);
  });

  test("escapes control characters of a message, and uses colours only on a terminal", async () => {
    await using service = await serveFake({
      listUnread: () => ({ messages: [{ kind: Kind.NOTIFICATION, title: "a\u001b]0;x\u0007\nb\u202e" }] }),
    });
    const env = { TIDINGS_URL: service.url, TIDINGS_TOKEN: "a.b.c" };
    const plain = start(["unread"], env);
    const terminal = start(["unread"], env, {}, true);
    const noColor = start(["unread"], { ...env, NO_COLOR: "1" }, {}, true);
    await Promise.all([plain.code, terminal.code, noColor.code]);
    expect(plain.stdout()).toBe("notification  a\\u{1b}]0;x\\u{7}\\nb\\u{202e}\n");
    expect(noColor.stdout()).toBe(plain.stdout());
    expect(terminal.stdout()).toContain("\u001b[1ma\\u{1b}]0;x\\u{7}\\nb\\u{202e}\u001b[22m");
  });
});

describe("tidings online", () => {
  test("counts the users of a tenant or a room, or prints a line for each given user", async () => {
    const requests: OnlineCountRequest[] = [];
    await using service = await serveFake({
      onlineCount(request) {
        requests.push(request);
        const presences = [
          { userId: "ada", online: true, connections: 2 },
          { userId: "bob", online: false },
        ];
        return { users: 1, connections: 2, presences: request.scope.case === "users" ? presences : [] };
      },
    });
    expect((await call(service, "online", "--room", "team/a,b")).stdout).toBe("online: users 1, streams 2\n");
    expect(requests.shift()?.scope).toEqual({ case: "roomId", value: "team/a,b" });
    expect((await call(service, "online", "--tenant-id", "acme")).stdout).toBe("online: users 1, streams 2\n");
    const { stdout } = await call(service, "online", "--users", "ada,bob");
    expect(stdout).toBe("online: users 1, streams 2\n  ada: online, streams: 2\n  bob: offline\n");
    expect(JSON.parse((await call(service, "online", "--json")).stdout)).toEqual({
      users: 1,
      connections: 2,
      presences: [],
    });
    expect(requests.map(({ tenantId, scope }) => [tenantId, scope.case])).toEqual([
      ["acme", undefined],
      ["", "users"],
      ["", undefined],
    ]);
  });
});

test.each([[["--room", "a", "--room", "b"]], [["--room", "a", "--users", "ada"]]])(
  "tidings online refuses %j, which is not exactly one scope",
  async (argv) => {
    const { code, stderr } = await run(["online", ...argv], { TIDINGS_TOKEN: "a.b.c" });
    expect([code, stderr.split("\n")[0]]).toEqual([2, "error: set either --users or a single --room"]);
  },
);

describe("tidings disconnect", () => {
  async function disconnecting() {
    const requests: DisconnectRequest[] = [];
    const service = await serveFake(
      {},
      {
        disconnect(request) {
          requests.push(request);
          return { connections: 3 };
        },
      },
    );
    return { service, requests };
  }
  /** The time of the harness's clock, in seconds. */
  const now = BigInt(Date.parse("2026-11-03T10:00:00Z") / 1000);

  test("sends only the user by default", async () => {
    const { service, requests } = await disconnecting();
    await using _ = service;
    expect(await call(service, "disconnect", "--user", "ada")).toEqual({
      code: 0,
      stdout: "ended streams: 3\n",
      stderr: "",
    });
    expect(requests[0]).toMatchObject({ userId: "ada", tenantId: "", tokenId: "", reason: "" });
    expect(requests[0]?.blockUntil).toBeUndefined();
  });

  test.each([
    [["--block-for", "1h"], now + 3_600n, "blocked until 2026-11-03T11:00:00.000Z"],
    [["--block-until", "2026-12-24T18:00:00+01:00"], 1_798_131_600n, "blocked until 2026-12-24T17:00:00.000Z"],
    [["--block-until", "1970-01-01T00:00Z"], 0n, "no longer blocked"],
  ])("sends %j as a time", async (argv, seconds, text) => {
    const { service, requests } = await disconnecting();
    await using _ = service;
    const flags = ["--user", "ada", "--token-id", "t7", "--tenant-id", "acme", "--reason", "logged out"];
    expect((await call(service, "disconnect", ...flags, ...argv)).stdout).toBe(`ended streams: 3, ${text}\n`);
    expect(requests[0]).toMatchObject({
      userId: "ada",
      tokenId: "t7",
      tenantId: "acme",
      reason: "logged out",
      blockUntil: { seconds, nanos: 0 },
    });
    const { stdout } = await call(service, "disconnect", ...flags, ...argv, "--json");
    expect(JSON.parse(stdout)).toEqual({ connections: 3 });
  });

  test.each([
    [[], "--user is required"],
    [
      ["--user", "ada", "--block-for", "1h", "--block-until", "2026-12-24T18:00Z"],
      "--block-for and --block-until exclude each other",
    ],
    [["--user", "ada", "--block-until", "2026-12-24T18:00"], "--block-until: must be a time with its UTC offset"],
    [["--user", "ada", "--block-until", "tomorrow"], "--block-until: must be a time with its UTC offset"],
    [["--user", "ada", "--block-until", "2026-13-24T18:00Z"], "--block-until: must be a time with its UTC offset"],
    [["--user", "ada", "--block-for", "11000d"], "--block-for: must be a number with a unit"],
  ])("refuses %j as a usage error", async (argv, sentence) => {
    const { service, requests } = await disconnecting();
    await using _ = service;
    const { code, stderr } = await call(service, "disconnect", ...argv);
    expect([code, requests]).toEqual([2, []]);
    expect(stderr).toContain(sentence);
  });
});
