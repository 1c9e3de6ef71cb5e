import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fromJson, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate, ValueSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, test, vi } from "vitest";
import {
  RoomMode,
  RoomState_Status as Status,
  type SubscribeRequest,
  type SubscribeResponseSchema,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { mintToken } from "../../../src/auth/mint-token.ts";
import { fail } from "../../../src/errors.ts";
import { Kind } from "../../../src/gen.ts";
import { serveFake } from "../fake-service.ts";
import { Folder, run, secret, start } from "../harness.ts";

type Event = MessageInitShape<typeof SubscribeResponseSchema>["event"];

const unread = { total: 1, byCategory: { system: 1 }, version: "1" };
const hello: Event = { case: "hello", value: { subscriptionId: "s1", unread, online: { users: 1, connections: 1 } } };
const caughtUp: Event = { case: "caughtUp", value: {} };

function message(seq: string): Event {
  const position = { feed: "user", epoch: 7, seq };
  return {
    case: "message",
    value: { id: `m${seq}`, kind: Kind.EVENT, event: "done", title: `title ${seq}`, position },
  };
}

/** A service whose n-th stream sends the n-th list of events and then stays open. */
async function streaming(...streams: readonly (readonly Event[])[]) {
  const requests: SubscribeRequest[] = [];
  let end: (error: Error) => void = () => {};
  const service = await serveFake({
    async *subscribe(request, { signal }) {
      const events = streams[requests.push(request) - 1] ?? [];
      for (const event of events) yield { ...(event && { event }) };
      await new Promise((resolve, reject) => {
        signal.addEventListener("abort", resolve);
        end = reject;
      });
    },
  });
  const env = { TIDINGS_URL: service.url, TIDINGS_TOKEN: "a.b.c" };
  /** Ends the open stream with an error. */
  return { service, requests, env, end: (error: Error) => end(error) };
}

describe("tidings tail", () => {
  test("prints one line per event until a signal", async () => {
    const readState: Event = { case: "readState", value: { unread: { total: 0 } } };
    const { service, requests, env } = await streaming([
      hello,
      { case: "gap", value: { after: { feed: "user", seq: "1" }, to: { feed: "user", seq: "4" } } },
      message("5"),
      caughtUp,
      { case: "online", value: { users: 2, connections: 3 } },
      readState,
    ]);
    await using _ = service;
    const tail = start(["tail", "--kinds", "event", "--categories", "a,b", "--events", "done"], env);
    await vi.waitFor(() => expect(tail.stdout()).toContain("unread: 0"));
    expect(tail.stdout().split("\n")).toEqual([
      "connected as s1",
      "gap: the messages after user 1 up to user 4 are gone",
      "event done  title 5",
      "up to date, unread: 1 (system 1)",
      "online: users 2, streams 3",
      "unread: 0",
      "",
    ]);
    expect(requests[0]).toMatchObject({
      kinds: [Kind.EVENT],
      categories: ["a", "b"],
      events: ["done"],
      onlineCount: true,
    });
    expect(tail.signal()).toBe(true);
    expect(await tail.code).toBe(0);
    expect(tail.stderr()).toBe("");
    expect(tail.signal(), "a listener is left").toBe(false);
  });

  test("enters rooms, prints their status, and marks messages that ask for a sound", async () => {
    const { service, requests, env } = await streaming([
      hello,
      { case: "room", value: { roomId: "team/7", status: Status.JOINED } },
      {
        case: "room",
        value: {
          roomId: "solo",
          status: Status.REFUSED,
          reason: "ROOM_TAKEN",
          message: "taken\u0007",
          code: "already_exists",
        },
      },
      { case: "message", value: { kind: Kind.NOTIFICATION, title: "hi", roomId: "team/7", alert: true } },
      { case: "message", value: { kind: Kind.ACTIVITY, title: "done", receiverId: "bob" } },
      caughtUp,
    ]);
    await using _ = service;
    const argv = ["--room", "team/7", "--room", "dm/bob/ada:any", "--room", "solo:first", "--room", "a,b:last:last"];
    const tail = start(["tail", ...argv], env);
    await vi.waitFor(() => expect(tail.stdout()).toContain("up to date"));
    tail.signal();
    expect(await tail.code).toBe(0);
    expect(tail.stdout().split("\n").slice(1, 5)).toEqual([
      "room team/7: joined",
      "room solo: refused (already_exists ROOM_TAKEN: taken\\u{7})",
      "notification  in team/7  hi  (alert)",
      "activity  for bob  done",
    ]);
    expect(requests[0]?.rooms).toMatchObject([
      { roomId: "team/7", mode: RoomMode.ANY },
      { roomId: "dm/ada/bob", mode: RoomMode.ANY },
      { roomId: "solo", mode: RoomMode.FIRST },
      { roomId: "a,b:last", mode: RoomMode.LAST },
    ]);
  });

  test.each([
    [["--room", "dm/ada"], "--room: roomId: must be an id"],
    [["--room", "dm/a/b", "--room", "dm/b/a:last"], "--room: rooms: dm/b/a is named twice"],
  ])("refuses %j as a usage error", async (argv, sentence) => {
    const tail = start(["tail", ...argv], { TIDINGS_TOKEN: "a.b.c" });
    expect(await tail.code).toBe(2);
    expect(tail.stderr()).toContain(sentence);
  });

  test("ends with an error when the user is disconnected", async () => {
    await using service = await serveFake({
      async *subscribe() {
        yield { event: hello ?? { case: undefined } };
        throw fail("DISCONNECTED", "logged out");
      },
    });
    const tail = start(["tail"], { TIDINGS_URL: service.url, TIDINGS_TOKEN: "a.b.c" });
    expect(await tail.code).toBe(1);
    expect(tail.stderr()).toBe("error: permission_denied DISCONNECTED: logged out\n");
  });

  test("prints each event as the JSON of SubscribeResponse under --json", async () => {
    const gap: Event = {
      case: "gap",
      value: { after: { feed: "user", epoch: 7, seq: "1" }, to: { feed: "user", epoch: 7, seq: "4" } },
    };
    const why = { reason: "WHY", message: "why", code: "aborted" };
    const room: Event = { case: "room", value: { roomId: "r", status: Status.KICKED, ...why } };
    const { service, env } = await streaming([hello, gap, room, message("5"), caughtUp]);
    await using _ = service;
    const tail = start(["tail", "--json"], env);
    await vi.waitFor(() => expect(tail.stdout()).toContain("caughtUp"));
    tail.signal();
    await tail.code;
    expect(
      tail
        .stdout()
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { hello: { subscriptionId: "s1" } },
      { gap: { after: { feed: "user", epoch: 7, seq: "1" }, to: { feed: "user", epoch: 7, seq: "4" } } },
      { room: { roomId: "r", status: "STATUS_KICKED", ...why } },
      {
        message: {
          id: "m5",
          kind: "KIND_EVENT",
          event: "done",
          title: "title 5",
          position: { feed: "user", epoch: 7, seq: "5" },
        },
      },
      { caughtUp: {} },
    ]);
  });

  test("reconnects after a cut connection, and resumes from its position", async () => {
    const { service, requests, env } = await streaming(
      [hello, caughtUp, message("5")],
      [hello, message("6"), caughtUp],
    );
    await using _ = service;
    const tail = start(["tail"], env);
    await vi.waitFor(() => expect(tail.stdout()).toContain("title 5"));
    service.cut();
    await vi.waitFor(() => expect(tail.stdout()).toContain("title 6"), 5_000);
    tail.signal();
    expect(await tail.code).toBe(0);
    expect(requests[1]?.positions).toMatchObject([{ feed: "user", epoch: 7, seq: "5" }]);
    expect(tail.stderr()).toMatch(/^\w+: .*; reconnecting\n$/);
  });

  test("ends with an error when the token is refused", async () => {
    await using service = await serveFake({
      subscribe() {
        throw fail("TOKEN_EXPIRED", "the token has expired; get a fresh one");
      },
    });
    const tail = start(["tail"], { TIDINGS_URL: service.url, TIDINGS_TOKEN: "a.b.c" });
    expect(await tail.code).toBe(1);
    expect(tail.stderr()).toBe("error: unauthenticated TOKEN_EXPIRED: the token has expired; get a fresh one\n");
  });

  test("ends with an error when the subscription is refused", async () => {
    await using service = await serveFake({
      subscribe() {
        throw fail("TENANT_FORBIDDEN", "the token is of another tenant");
      },
    });
    const tail = start(["tail"], { TIDINGS_URL: service.url, TIDINGS_TOKEN: "a.b.c" });
    expect(await tail.code).toBe(1);
    expect(tail.stderr()).toBe("error: permission_denied TENANT_FORBIDDEN: the token is of another tenant\n");
  });

  test("keeps reconnecting when the responses are not those of Tidings, as from a proxy", async () => {
    await using service = await serveFake({});
    const tail = start(["tail"], { TIDINGS_URL: service.url, TIDINGS_TOKEN: "a.b.c" });
    await vi.waitFor(() => expect(tail.stderr()).toMatch(/^unimplemented: .*; reconnecting\n$/));
    tail.signal();
    expect(await tail.code).toBe(0);
  });

  test("ends at a signal while it waits for a server that is down", async () => {
    const service = await serveFake({});
    await service[Symbol.asyncDispose]();
    const tail = start(["tail"], { TIDINGS_URL: service.url, TIDINGS_TOKEN: "a.b.c" });
    await vi.waitFor(() => expect(tail.stderr()).toContain("reconnecting"));
    tail.signal();
    expect(await tail.code).toBe(0);
  });

  test("goes on with a fresh token of its command when the first one has expired", async () => {
    const { service, requests, env, end } = await streaming([hello, caughtUp], [hello, message("1")]);
    await using _ = service;
    let fetched = 0;
    const runShell = async () => `t.${++fetched}`;
    const tail = start(["tail", "--url", env.TIDINGS_URL, "--token-command", "x"], {}, { runShell });
    await vi.waitFor(() => expect(tail.stdout()).toContain("up to date"));
    end(fail("TOKEN_EXPIRED", "the token has expired"));
    await vi.waitFor(() => expect(tail.stdout()).toContain("title 1"));
    tail.signal();
    expect(await tail.code).toBe(0);
    expect([service.tokens, tail.stderr(), requests.length]).toEqual([["Bearer t.1", "Bearer t.2"], "", 2]);
  });

  test("prints only messages that --match, --since and --only-messages let through, and ends after --count", async () => {
    const at = (time: string) => ({ publishTime: timestampFromDate(new Date(time)) });
    const { service, env } = await streaming([
      hello,
      { case: "message", value: { title: "An INVOICE", ...at("2026-11-03T08:59:59Z") } },
      { case: "message", value: { title: "Your Invoice", ...at("2026-11-03T09:00:00Z") } },
      caughtUp,
      { case: "message", value: { title: "a letter", ...at("2026-11-03T09:30:00Z") } },
      {
        case: "message",
        value: {
          title: "paid",
          ...at("2026-11-03T09:30:00Z"),
          payload: { case: "json", value: fromJson(ValueSchema, { about: "invoice" }) },
        },
      },
      { case: "message", value: { title: "another invoice", ...at("2026-11-03T09:30:00Z") } },
    ]);
    await using _ = service;
    const tail = start(["tail", "--match", "invoice", "--since", "1h", "--only-messages", "--count", "2"], env);
    expect(await tail.code).toBe(0);
    expect(
      tail
        .stdout()
        .split("\n")
        .map((line) => line.replace(/^.*message {2}/, "")),
    ).toEqual(["Your Invoice", "paid", ""]);
  });

  test.each([
    ["user", { sub: "ada", tenant: "acme", role: "user" }, ["user", "tenant", "activity", "everyone"]],
    ["service of a tenant", { sub: "ops", tenant: "acme", role: "service" }, ["tenant", "activity", "everyone"]],
    ["service of no tenant", { sub: "ops", role: "service" }, ["everyone"]],
  ])("asks with --from-start for everything that a %s may read", async (_, claims, feeds) => {
    const { service, requests, env } = await streaming([hello]);
    await using _service = service;
    const token = await mintToken(
      secret,
      { ...claims, role: claims.role as "user", exp: 2_000_000_000 },
      1_900_000_000,
    );
    const tail = start(["tail", "--from-start", "--room", "dm/bob/ada"], { ...env, TIDINGS_TOKEN: token });
    await vi.waitFor(() => expect(requests).toHaveLength(1));
    tail.signal();
    await tail.code;
    const wanted = [...feeds, "room/dm/ada/bob"].map((feed) => ({ feed, epoch: 0, seq: "0" }));
    expect(requests[0]?.positions).toMatchObject(wanted);
  });

  test("goes on with --resume after the last message that it has printed", async () => {
    using folder = new Folder();
    const path = join(folder.path, "new/position.json");
    const first = await streaming([hello, message("1"), message("2"), message("3"), caughtUp]);
    await using _ = first.service;
    const argv = ["tail", "--resume", path, "--only-messages"];
    const counted = start([...argv, "--count", "2"], first.env);
    expect([await counted.code, counted.stdout()]).toEqual([0, "event done  title 1\nevent done  title 2\n"]);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual([{ feed: "user", epoch: 7, seq: "2" }]);
    const second = await streaming([hello, message("3"), caughtUp]);
    await using _second = second.service;
    const tail = start([...argv, "--from-start"], second.env);
    await vi.waitFor(() => expect(tail.stdout()).toContain("title 3"));
    tail.signal();
    expect(await tail.code).toBe(0);
    expect(second.requests[0]?.positions).toMatchObject([{ feed: "user", epoch: 7, seq: "2" }]);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual([{ feed: "user", epoch: 7, seq: "3" }]);
  });

  test.each(["", "\n", "[]\n"])("begins as without --resume when its file holds %j", async (content) => {
    using folder = new Folder();
    const { service, requests, env } = await streaming([hello]);
    await using _ = service;
    const tail = start(["tail", "--from-start", "--resume", folder.file("position", content)], env);
    await vi.waitFor(() => expect(requests).toHaveLength(1));
    tail.signal();
    expect(await tail.code).toBe(0);
    expect(requests[0]?.positions).toHaveLength(4);
  });

  test.each(["my notes", '{"feed":"user"}', '[{"feed":"user"}]'])(
    "does not overwrite a file of --resume that holds %s",
    async (content) => {
      using folder = new Folder();
      const path = folder.file("notes.txt", content);
      const { code, stderr } = await run(["tail", "--resume", path], { TIDINGS_TOKEN: "a.b.c" });
      expect(code).toBe(2);
      expect(stderr).toContain(`--resume: ${path} is not a file of positions, and would be overwritten`);
      expect(readFileSync(path, "utf8")).toBe(content);
    },
  );

  test.each(["/dev/null", "/"])("does not replace %s, which --resume names", async (path) => {
    const { code, stderr } = await run(["tail", "--resume", path], { TIDINGS_TOKEN: "a.b.c" });
    expect([code, stderr]).toEqual([2, expect.stringContaining(`--resume: ${path} is not a regular file`)]);
  });

  test("says so when the file of --resume cannot be written, and goes on", async () => {
    using folder = new Folder();
    const path = join(folder.file("file", ""), "position");
    const { service, env } = await streaming([hello, message("1"), caughtUp]);
    await using _ = service;
    const tail = start(["tail", "--resume", path], env);
    await vi.waitFor(() => expect(tail.stderr()).not.toBe(""));
    expect(tail.stderr()).toMatch(/^--resume: cannot write .*position: (ENOTDIR|EEXIST)\n$/);
    expect(tail.stdout()).toContain("title 1");
    tail.signal();
    expect(await tail.code).toBe(0);
  });

  test("ends after --timeout: as a failure when --count has not been reached", async () => {
    const { service, requests, env } = await streaming([hello, message("1")], [hello]);
    await using _ = service;
    const timers: (() => void)[] = [];
    const after = (milliseconds: number, call: () => void) => {
      expect(milliseconds).toBe(10_000);
      timers.push(call);
      return () => {};
    };
    const counted = start(["tail", "--count", "2", "--timeout", "10s"], env, { after });
    await vi.waitFor(() => expect(counted.stdout()).toContain("title 1"));
    timers[0]?.();
    expect([await counted.code, counted.stderr()]).toEqual([1, "1 of 2 messages arrived in time\n"]);
    const open = start(["tail", "--timeout", "10s"], env, { after });
    await vi.waitFor(() => expect(requests).toHaveLength(2));
    timers[1]?.();
    expect([await open.code, open.stderr()]).toEqual([0, ""]);
  });
});
