import type { ServerResponse } from "node:http";
import { ConnectError } from "@connectrpc/connect";
import { afterEach, describe, expect, test, vi } from "vitest";
import { reasonOf } from "../../src/errors.ts";
import type { AuthorizeOptions } from "../../src/options.ts";
import { RoomAccess, type RoomQuestion } from "../../src/rooms/access.ts";
import { AuthorizeHook } from "../../src/rooms/authorize-hook.ts";
import { FakeClock } from "../support/clock.ts";
import { userOf } from "../support/core.ts";
import { allow, badAnswerRoom, badAnswers, type HookServer, startHook } from "../support/hook-server.ts";

const question: RoomQuestion = { tenant: "acme", user: "ann", room: "yes/1", action: "join" };
const clock = new FakeClock();
const started: HookServer[] = [];

afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.stop()));
});

/** Starts a backend, and makes the hook that asks it. */
async function open(respond?: Parameters<typeof startHook>[0], options: Partial<AuthorizeOptions> = {}) {
  const server = await startHook(respond);
  started.push(server);
  const all = { url: server.url, token: "", timeoutMs: 5_000, cacheMs: 30_000, ...options };
  return { server, hook: new AuthorizeHook(all, clock) };
}

/** Returns the error of a question that must fail. */
async function failureOf(answer: Promise<boolean>): Promise<ConnectError> {
  const outcome: unknown = await answer.catch((error: unknown) => error);
  if (outcome instanceof ConnectError) return outcome;
  throw new Error(`answered with ${String(outcome)}`);
}

describe("The question of the authorize hook", () => {
  test("is a POST of JSON with tenant, user, room and action", async () => {
    const { server, hook } = await open();
    expect(await hook.ask({ ...question, action: "publish" })).toBe(true);
    expect(server.asked).toMatchObject([
      { question: { ...question, action: "publish" }, method: "POST", headers: { "content-type": "application/json" } },
    ]);
    expect(server.asked[0]?.headers.authorization).toBeUndefined();
  });

  test("carries the configured token", async () => {
    const { server, hook } = await open(undefined, { token: "s3cret" });
    await hook.ask(question);
    expect(server.asked[0]?.headers.authorization).toBe("Bearer s3cret");
  });

  test("carries ids of any script, and with quotes", async () => {
    const { server, hook } = await open();
    const odd = { tenant: '"公司"', user: "née\\😀", room: "yes/\u2028'", action: "join" } as const;
    expect(await hook.ask(odd)).toBe(true);
    expect(server.asked[0]?.question).toEqual(odd);
  });
});

describe("The answer of the authorize hook", () => {
  test.each([true, false])("is cached for the configured time: allow %s", async (allowed) => {
    const { server, hook } = await open((response) => allow(response, allowed), { cacheMs: 1_000 });
    expect(hook.known(question)).toBeUndefined();
    expect(await hook.ask(question)).toBe(allowed);
    await clock.advance(999);
    expect(hook.known(question)).toBe(allowed);
    expect(await hook.ask(question)).toBe(allowed);
    expect(server.asked).toHaveLength(1);
    await clock.advance(1);
    expect(hook.known(question)).toBeUndefined();
    await hook.ask(question);
    expect(server.asked).toHaveLength(2);
  });

  test("is used for no other tenant, user, room or action", async () => {
    const { server, hook } = await open();
    await hook.ask(question);
    const others: RoomQuestion[] = [
      { ...question, tenant: "rival" },
      { ...question, user: "bob" },
      { ...question, room: "yes/2" },
      { ...question, action: "publish" },
    ];
    for (const other of others) expect.soft(hook.known(other)).toBeUndefined();
    await Promise.all(others.map((other) => hook.ask(other)));
    expect(server.asked).toHaveLength(5);
  });
});

describe("Concurrent questions to the authorize hook", () => {
  test("share one answer if they are equal", async () => {
    const { server, hook } = await open();
    const answers = await Promise.all(Array.from({ length: 500 }, () => hook.ask(question)));
    expect(new Set(answers)).toEqual(new Set([true]));
    expect(server.asked).toHaveLength(1);
  });

  test("fail at once from the 201st on, until others are answered", async () => {
    const held: ServerResponse[] = [];
    const { server, hook } = await open((response) => void held.push(response));
    const ask = (room: number) => hook.ask({ ...question, room: `yes/${room}` });
    const asking = Array.from({ length: 200 }, (_, room) => ask(room));
    const refused = await failureOf(ask(200));
    expect(reasonOf(refused)).toBe("AUTHORIZE_UNAVAILABLE");
    // A question that is already in flight is shared, whatever the limit.
    const shared = ask(7);
    await server.until(200);
    expect(server.waiting).toBe(200);
    for (const response of held.splice(0)) allow(response, true);
    expect(await Promise.all([...asking, shared])).toEqual(Array(201).fill(true));
    const again = ask(200);
    await server.until(201);
    allow(held[0] as ServerResponse, false);
    expect(await again).toBe(false);
  });
});

describe("The authorize hook neither permits nor caches anything", () => {
  test.each(Object.keys(badAnswers))("after a bad answer: %s", async (name) => {
    // Long enough for a question to reach the server on a loaded machine.
    const { server, hook } = await open(undefined, { timeoutMs: 500 });
    const failing = { ...question, room: badAnswerRoom(name) };
    for (const asked of [1, 2]) {
      const failures = await Promise.all([failureOf(hook.ask(failing)), failureOf(hook.ask(failing))]);
      expect(failures.map(reasonOf)).toEqual(["AUTHORIZE_UNAVAILABLE", "AUTHORIZE_UNAVAILABLE"]);
      // The cause is for the log; clients do not get it.
      expect(failures[0]?.cause).toBeInstanceOf(Error);
      expect(hook.known(failing)).toBeUndefined();
      // The hook may give up before its question has reached the server.
      await vi.waitFor(() => expect(server.asked).toHaveLength(asked));
    }
    expect(await hook.ask(question)).toBe(true);
  });

  test("after a failed connection", async () => {
    const { server, hook } = await open();
    await server.stop();
    started.length = 0;
    expect(reasonOf(await failureOf(hook.ask(question)))).toBe("AUTHORIZE_UNAVAILABLE");
    expect(hook.known(question)).toBeUndefined();
  });
});

test("RoomAccess asks about the rooms of one user in batches, and no more once the hook has failed", async () => {
  const held: ServerResponse[] = [];
  const { server, hook } = await open((response) => void held.push(response));
  const access = new RoomAccess(hook, clock);
  const rooms = Array.from({ length: 120 }, (_, room) => `yes/${room}`);
  const ann = userOf("acme");
  const first = access.kept(ann, rooms);
  await server.until(50);
  expect(server.waiting).toBe(50);
  for (const [index, response] of held.splice(0).entries()) allow(response, index > 0);
  await server.until(100);
  expect(server.waiting).toBe(50);
  for (const response of held.splice(0)) response.destroy();
  expect(await first).toEqual(rooms.slice(1));
  expect(server.asked).toHaveLength(100);
  // Rooms without an answer are kept, without another question until the cool-down ends.
  expect(await access.kept(ann, rooms)).toEqual(rooms.slice(1));
  expect(server.asked).toHaveLength(100);
  await clock.advance(10_000);
  const second = access.kept(ann, rooms);
  await server.until(150);
  for (const response of held.splice(0)) allow(response, false);
  await server.until(170);
  for (const response of held.splice(0)) allow(response, false);
  expect(await second).toEqual(rooms.slice(1, 50));
});

test("The authorize hook asks again at once after a failure", async () => {
  let down = true;
  const { hook } = await open((response) => (down ? response.destroy() : allow(response, true)));
  await failureOf(hook.ask(question));
  down = false;
  expect(await hook.ask(question)).toBe(true);
});

test("The authorize hook holds no connection by an answer that it does not read", async () => {
  const { server, hook } = await open(undefined, { timeoutMs: 100 });
  const unread = ["status 500", "a huge answer", "an answer without end", "half an answer", "no answer"];
  await Promise.all(unread.map((name) => failureOf(hook.ask({ ...question, room: badAnswerRoom(name) }))));
  await expect.poll(() => server.waiting).toBe(0);
});
