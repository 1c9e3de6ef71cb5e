/** How both clients refuse arguments of a wrong type, which TypeScript would not compile. */
import { create } from "@bufbuild/protobuf";
import { afterEach, describe, expect, test } from "vitest";
import { PublishRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { markJson, publishJson } from "../../src/client/codec/json.ts";
import { markInit, type PublishInit, publishInit } from "../../src/client/codec/proto.ts";
import { connectTidings as connectProto } from "../../src/client/index.ts";
import { connectTidings as connectJson, directRoom, escapeId } from "../../src/client/json.ts";
import { splitSubscribe } from "../../src/client/options.ts";
import { type DeleteRequest, deleteRequest, type MarkRequest, type PublishRequest } from "../../src/client/requests.ts";

/** A client as JavaScript sees it, which takes any arguments. */
interface Loose {
  readonly state: { subscribe(listener: unknown): () => void };
  join(...args: unknown[]): void;
  leave(...args: unknown[]): void;
  on(...args: unknown[]): () => void;
  markRead(...args: unknown[]): Promise<unknown>;
  listUnread(...args: unknown[]): Promise<unknown>;
  listMessages(...args: unknown[]): Promise<unknown>;
  deleteMessages(...args: unknown[]): Promise<unknown>;
  onlineCount(...args: unknown[]): Promise<unknown>;
  publish(...args: unknown[]): Promise<unknown>;
  publishBatch(...args: unknown[]): Promise<unknown>;
  close(): void;
}
type Connect = (options: unknown) => Loose;

const clients = {
  "The Protobuf client": connectProto as unknown as Connect,
  "The JSON client": connectJson as unknown as Connect,
};

class SilentSocket {
  send(): void {}
  close(): void {}
}

const open: Loose[] = [];
afterEach(() => {
  for (const client of open.splice(0)) client.close();
});

/** A client whose requests are counted, and never answered but by their cancellation. */
function start(connect: Connect) {
  const requests: string[] = [];
  const client = connect({
    url: "http://127.0.0.1:1",
    token: () => "token",
    WebSocket: SilentSocket,
    fetch: (url: string, { signal }: { signal: AbortSignal }) => {
      requests.push(url);
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
  });
  open.push(client);
  return { client, requests };
}

/** Wrong values of keys, each with the type that its error asks for. */
type WrongTypes = readonly (readonly [key: string, value: unknown, type: string])[];

const wrongOptions: WrongTypes = [
  ["url", undefined, "a string"],
  ["url", new URL("http://x"), "a string"],
  ["token", undefined, "a function"],
  ["token", "jwt", "a function"],
  ["subscribe", ["room"], "an object"],
  ["subscribe", null, "an object"],
  ["instanceId", 7, "a string"],
  ["storage", { getItem: () => null, setItem: () => {} }, "an object with load() and save()"],
  ["storage", null, "an object with load() and save()"],
  ["queueLimit", "5", "a finite number"],
  ["queueLimit", Number.NaN, "a finite number"],
  ["fetch", {}, "a function"],
  ["WebSocket", {}, "a function"],
  ["clock", Date, "an object with now() and after()"],
  ["random", Math.random, "an object with fraction()"],
];

const wrongFilters: WrongTypes = [
  ["categories", "a", "an array of strings"],
  ["categories", ["a", 1], "an array of strings"],
  ["events", new Set(["a"]), "an array of strings"],
  ["onlineCount", "yes", "a boolean"],
  ["rooms", "team/7", "an array"],
];

const wrongPublish: WrongTypes = [
  ["roomId", 7, "a string"],
  ["userId", ["ada"], "a string"],
  ["users", "ada", "an array of strings"],
  ["tenant", "acme", "true"],
  ["everyone", false, "true"],
  ["kind", undefined, "one of notification, activity, event"],
  ["kind", 1, "one of notification, activity, event"],
  ["kind", "KIND_EVENT", "one of notification, activity, event"],
  ["title", 1, "a string"],
  ["content", {}, "a string"],
  ["url", new URL("http://x"), "a string"],
  ["category", null, "a string"],
  ["event", [], "a string"],
  ["binary", "AA==", "a Uint8Array"],
  ["contentType", 1, "a string"],
  ["ttlMs", "1000", "a finite number"],
  ["requestId", 1, "a string"],
  ["replace", 1, "a boolean"],
  ["batchId", 1, "a string"],
  ["actor", "ada", "an object"],
  ["object", "task/7", "an object"],
  ["tenantId", 1, "a string"],
];

/** Wrong arguments of the calls, each with a part of its error. */
const wrongCalls: readonly (readonly [call: keyof Loose & string, args: readonly unknown[], sentence: string])[] = [
  ["markRead", [], "request: must be an object"],
  ["markRead", [["id"]], "request: must be an object"],
  ["markRead", [{ id: "x" }], "request: unknown key id; known keys are ids, all, oldest, categories, unread, upTo"],
  ["markRead", [{ ids: "x" }], "ids: must be an array of strings"],
  ["markRead", [{ all: false }], "all: must be true"],
  ["markRead", [{ oldest: "3" }], "oldest: must be a finite number"],
  ["markRead", [{ categories: "a" }], "categories: must be an array of strings"],
  ["markRead", [{ all: true, unread: "yes" }], "unread: must be a boolean"],
  ["markRead", [{ all: true, upTo: {} }], "upTo: must be an array"],
  ["markRead", [{ all: true, upTo: ["user"] }], "upTo[0]: must be an object"],
  ["markRead", [{ all: true, upTo: [{ feed: "user", epoch: 1, seq: 4 }] }], "upTo[0].seq: must be a string"],
  ["markRead", [{ all: true, upTo: [{ feed: "user", sequence: "4" }] }], "upTo[0]: unknown key sequence"],
  ["listMessages", [{ object: { type: "task", key: "7" } }], "object: unknown key key; known keys are type, id"],
  ["publish", [{ tenant: true, kind: "event", $title: "x" }], "request: unknown key $title"],
  ["publishBatch", [new Array(1)], "requests[0]: must be an object"],
  ["markRead", [{ ids: ["x"], oldest: 3 }], "request: give only one of ids, all, oldest"],
  ["listUnread", [null], "request: must be an object"],
  ["listUnread", [new AbortController().signal], "request: must be an object"],
  ["listUnread", [{ roomId: "r" }], "request: unknown key roomId"],
  ["listUnread", [{ pageSize: "10" }], "pageSize: must be a finite number"],
  ["listUnread", [{ actorId: 7 }], "actorId: must be a string"],
  ["listMessages", ["r"], "request: must be an object"],
  ["listMessages", [{ room: "r" }], "request: unknown key room"],
  ["listMessages", [{ kinds: "event" }], "kinds: must be an array of"],
  ["listMessages", [{ startTime: 0 }], "startTime: must be a"],
  ["listMessages", [{ endTime: new Date(0) }], "endTime: must be a"],
  ["listMessages", [{ object: "task/7" }], "object: must be an object"],
  ["deleteMessages", [], "request: must be an object"],
  ["deleteMessages", [{ id: "x" }], "request: unknown key id"],
  ["deleteMessages", [{ ids: "x" }], "ids: must be an array of strings"],
  ["deleteMessages", [{ ids: ["x"], recall: 1 }], "recall: must be a boolean"],
  ["deleteMessages", [{ expiredOnly: 1 }], "expiredOnly: must be a boolean"],
  ["onlineCount", ["room"], "request: must be an object"],
  ["onlineCount", [{ user: "ada" }], "request: unknown key user"],
  ["onlineCount", [{ users: "ada" }], "users: must be an array of strings"],
  ["onlineCount", [{ users: ["ada"], roomId: "r" }], "request: give only one of users, roomId"],
  ["publish", [], "request: must be an object"],
  ["publish", [[]], "request: must be an object"],
  ["publish", [{ tenant: true, kind: "event", titel: "t" }], "request: unknown key titel"],
  ["publish", [{ userId: "ada", message: {} }], "request: unknown key userId; known keys are audience, message"],
  ["publish", [{ audience: {}, message: {}, request_id: "r" }], "request: unknown key request_id"],
  ["publish", [{ audience: "ada", message: {} }], "audience: must be an object"],
  ["publish", [{ tenant: true, kind: "event", actor: { avatar: "/a" } }], "actor: unknown key avatar"],
  ["publish", [{ tenant: true, kind: "event", actor: { name: 1 } }], "actor.name: must be a string"],
  ["publish", [{ tenant: true, kind: "event", object: { type: 1 } }], "object.type: must be a string"],
  ["publishBatch", [], "requests: must be an array"],
  ["publishBatch", [{ tenant: true, kind: "event" }], "requests: must be an array"],
  ["publishBatch", [[{ tenant: true, kind: "event" }, "x"]], "requests[1]: must be an object"],
  ["publishBatch", [[{ tenant: true, kind: "event", title: 1 }]], "requests[0].title: must be a string"],
  ["publishBatch", [[{ tenant: true, kind: "event", object: 1 }]], "requests[0].object: must be an object"],
  ["publishBatch", [[{ tenant: true, kind: "event", json: 1n }]], "requests[0].json: must be a value that JSON"],
];

/** Calls with a valid request, so that only their options can be wrong. */
const rightCalls: readonly (readonly [call: keyof Loose & string, request: unknown])[] = [
  ["markRead", { all: true }],
  ["listUnread", {}],
  ["listMessages", {}],
  ["deleteMessages", { ids: ["x"] }],
  ["onlineCount", {}],
  ["publish", { tenant: true, kind: "event" }],
  ["publishBatch", [{ tenant: true, kind: "event" }]],
];

const wrongCallOptions: readonly (readonly [options: unknown, sentence: string])[] = [
  [5_000, "options: must be an object"],
  [null, "options: must be an object"],
  [new AbortController().signal, "options: must be an object"],
  [{ timeout: 5_000 }, "options: unknown key timeout; known keys are signal, timeoutMs"],
  [{ timeoutMs: "5000" }, "timeoutMs: must be a finite number"],
  [{ timeoutMs: Number.POSITIVE_INFINITY }, "timeoutMs: must be a finite number"],
  [{ signal: new AbortController() }, "signal: must be an object with throwIfAborted()"],
];

/** Wrong arguments of the functions that are not asynchronous. */
const wrongSteps: readonly (readonly [name: string, step: (client: Loose) => unknown, sentence: string])[] = [
  ["join()", (client) => client.join(), "roomId: must be a string"],
  ["join() of a number", (client) => client.join(7), "roomId: must be a string"],
  ["join() with a mode in place of options", (client) => client.join("r", "last"), "options: must be an object"],
  ["join() with null", (client) => client.join("r", null), "options: must be an object"],
  ["join() with a misspelled key", (client) => client.join("r", { moed: "last" }), "options: unknown key moed"],
  ["join() with a mode that is a number", (client) => client.join("r", { mode: 3 }), "mode: must be a string"],
  ["leave()", (client) => client.leave(), "roomId: must be a string"],
  ["on() of no event", (client) => client.on("mesage", () => {}), "type: must be one of hello, message"],
  ["on() without a listener", (client) => client.on("message"), "listener: must be a function"],
  ["subscribe() without a listener", ({ state }) => state.subscribe(undefined), "listener: must be a function"],
  ["directRoom() of one user", () => (directRoom as (a: unknown) => string)("ada"), "id: must be a string"],
  ["escapeId() of a number", () => (escapeId as (id: unknown) => string)(7), "id: must be a string"],
];

const events = ["hello", "message", "readState", "online", "caughtUp", "gap", "reset", "room", "error"];

/** The error that a function throws; undefined if it throws none. */
function thrownBy(step: () => unknown): unknown {
  try {
    step();
  } catch (error) {
    return error;
  }
  return undefined;
}

function expectTypeError(error: unknown, sentence: string): void {
  expect(error).toBeInstanceOf(TypeError);
  expect((error as TypeError).message).toContain(sentence);
}

describe.each(Object.entries(clients))("%s", (_name, connect) => {
  const right = { url: "http://127.0.0.1:1", token: () => "token" };

  test.each([[undefined], [null], ["http://x"], [[right]]])("refuses %j for all options", (options) => {
    expectTypeError(
      thrownBy(() => connect(options)),
      "options: must be an object",
    );
  });

  test.each(wrongOptions)("refuses the option %s as %o", (key, value, type) => {
    expectTypeError(
      thrownBy(() => connect({ ...right, [key]: value })),
      `${key}: must be ${type}`,
    );
  });

  test.each(wrongFilters)("refuses the filter subscribe.%s as %o", (key, value, type) => {
    expectTypeError(
      thrownBy(() => connect({ ...right, subscribe: { [key]: value } })),
      `subscribe.${key}: must be ${type}`,
    );
  });

  test.each([
    [{ tokens: () => "" }, "options: unknown key tokens"],
    [{ constructor: 1 }, "options: unknown key constructor"],
    [{ subscribe: { category: ["a"] } }, "subscribe: unknown key category"],
    [{ subscribe: { positions: [] } }, "subscribe: unknown key positions"],
    [{ subscribe: { rooms: ["team/7"] } }, "rooms[0]: must be an object"],
    [{ subscribe: { rooms: [{ roomId: "a" }, { roomId: "b", moed: "last" }] } }, "rooms[1]: unknown key moed"],
    [{ subscribe: { rooms: [{ roomId: "a", mode: 3 }] } }, "rooms[0].mode: must be a string"],
    [{ subscribe: { rooms: [{}] } }, "roomId: must be a string"],
  ])("refuses the options %j", (options, sentence) => {
    expectTypeError(
      thrownBy(() => connect({ ...right, ...options })),
      sentence,
    );
  });

  test("takes a key that is undefined as one that is not set", () => {
    open.push(connect({ ...right, WebSocket: SilentSocket, instanceId: undefined, tokens: undefined }));
  });

  test("takes options that are getters of a class", () => {
    class Options {
      readonly url = "http://127.0.0.1:1";
      readonly WebSocket = SilentSocket;
      get token() {
        return () => "token";
      }
    }
    open.push(connect(new Options()));
    class WrongOptions extends Options {
      get queueLimit() {
        return "5";
      }
    }
    expectTypeError(
      thrownBy(() => connect(new WrongOptions())),
      "queueLimit: must be a finite number",
    );
  });

  test.each(wrongSteps)("refuses %s", (_step, step, sentence) => {
    const { client } = start(connect);
    expectTypeError(
      thrownBy(() => step(client)),
      sentence,
    );
  });

  test("refuses an unknown mode with a RangeError", () => {
    const { client } = start(connect);
    expect(thrownBy(() => client.join("r", { mode: "newest" }))).toBeInstanceOf(RangeError);
  });

  test.each(events)("takes listeners of %s", (type) => {
    start(connect).client.on(type, () => {});
  });

  test.each(wrongCalls)("rejects %s(%o) before it is sent", async (name, args, sentence) => {
    const { client, requests } = start(connect);
    const call = client[name] as (...args: readonly unknown[]) => Promise<unknown>;
    expectTypeError(await call(...args).catch((error: unknown) => error), sentence);
    expect(requests).toEqual([]);
  });

  test.each(wrongPublish)("rejects a plain publish with %s as %o", async (key, value, type) => {
    const { client, requests } = start(connect);
    const request = { ...(key === "tenant" ? {} : { tenant: true }), kind: "event", [key]: value };
    expectTypeError(await client.publish(request).catch((error: unknown) => error), `${key}: must be ${type}`);
    expect(requests).toEqual([]);
  });

  describe.each(rightCalls)("%s()", (name, request) => {
    test.each(wrongCallOptions)("rejects the options %o", async (options, sentence) => {
      const { client, requests } = start(connect);
      const call = client[name] as (...args: readonly unknown[]) => Promise<unknown>;
      expectTypeError(await call(request, options).catch((error: unknown) => error), sentence);
      expect(requests).toEqual([]);
    });
  });

  test("counts a timeoutMs below 0 as 0", async () => {
    const { client } = start(connect);
    await expect(client.listUnread({}, { timeoutMs: -5 })).rejects.toMatchObject({ code: "deadline_exceeded" });
  });

  test("does not end a call at once for a timeoutMs of more than 24 days", async () => {
    const { client } = start(connect);
    const ended: string[] = [];
    const long = client.listUnread({}, { timeoutMs: 3_000_000_000 }).catch(({ code }) => ended.push(code));
    const short = client.listUnread({}, { timeoutMs: 20.5 }).catch(({ code }) => ended.push(code));
    await short;
    expect(ended).toEqual(["deadline_exceeded"]);
    client.close();
    await long;
    expect(ended).toEqual(["deadline_exceeded", "canceled"]);
  });
});

describe("The Protobuf client alone", () => {
  const connect = clients["The Protobuf client"];

  test.each([
    [{ transport: "sse" }, "transport: must be one of auto, connect, ws"],
    [{ connect: "http://x" }, "connect: must be an object with unary() and stream()"],
    [{ subscribe: { kinds: ["KIND_EVENT"] } }, "subscribe.kinds: must be an array of numbers"],
  ])("refuses the options %j", (options, sentence) => {
    expectTypeError(
      thrownBy(() => connect({ url: "http://127.0.0.1:1", token: () => "token", ...options })),
      sentence,
    );
  });

  const to = { case: "userId", value: "ada" };
  test.each([
    ["publish", { audience: { to }, message: { titel: "x" } }, "message: unknown key titel"],
    ["publish", { audience: { userId: "ada" }, message: {} }, "audience: unknown key userId; known keys are to"],
    ["publish", { audience: { to: { case: "user" } }, message: {} }, "audience.to: unknown case user"],
    ["publish", { audience: { to }, message: { actor: "bob" } }, "message.actor: must be an object"],
    ["publish", { audience: { to }, message: { ttl: { second: 1n } } }, "message.ttl: unknown key second"],
    ["listUnread", { startTime: { second: 1n } }, "startTime: unknown key second"],
    ["listMessages", { endTime: { second: 1n } }, "endTime: unknown key second"],
  ] as const)("rejects %s(%o), which Protobuf would take without the key", async (name, request, sentence) => {
    const { client, requests } = start(connect);
    expectTypeError(await client[name](request).catch((error: unknown) => error), sentence);
    expect(requests).toEqual([]);
  });

  test("takes the contract's form with fields that are not set, and with messages that Protobuf made", () => {
    const json = { case: "json", value: { kind: { case: "stringValue", value: "v" } } } as const;
    const message = { kind: 1, title: undefined, actor: undefined, payload: json, ttl: { seconds: 1n } };
    const request = { audience: { to: { case: "userId", value: "ada" } }, message } as unknown as PublishInit;
    const made = create(PublishRequestSchema, request);
    expect(publishInit(request)).toBe(request);
    expect(publishInit(made)).toBe(made);
  });

  test("rejects a request in the contract's form that Protobuf cannot encode", async () => {
    const { client, requests } = start(connect);
    const publish = client.publish({ audience: { to: { case: "tenant", value: true } }, message: { kind: "EVENT" } });
    expectTypeError(await publish.catch((error: unknown) => error), "request: ");
    expect(requests).toEqual([]);
  });
});

/** The same fields as getters of a class, which are no keys of its instances. */
function withGetters(fields: object): object {
  const instance = Object.create({});
  for (const [key, value] of Object.entries(fields)) {
    Object.defineProperty(Object.getPrototypeOf(instance), key, { get: () => value });
  }
  return instance;
}

describe("Fields that are getters of a class", () => {
  const publish = {
    userId: "ada",
    kind: "event",
    title: "T",
    tenantId: "acme",
    requestId: "1",
    replace: true,
  } as const;

  test.each([publishInit, publishJson])("reach a publish by %o", (codec) => {
    const object = { type: "task", id: "7" };
    const request = withGetters({ ...publish, actor: withGetters({ id: "bob" }), object: withGetters(object) });
    const plain = { ...publish, actor: { id: "bob" }, object };
    expect(codec(request as PublishRequest)).toEqual(codec(plain));
  });

  test.each([markInit, markJson])("narrow a mark by %o", (codec) => {
    const at = { feed: "user", epoch: 1, seq: "4" };
    const request = withGetters({ all: true, categories: ["a"], unread: true, upTo: [withGetters(at)] });
    expect(codec(request as MarkRequest)).toEqual(codec({ all: true, categories: ["a"], unread: true, upTo: [at] }));
  });

  test("narrow a deletion", () => {
    const fields = { ids: ["x"], category: "a", expiredOnly: true };
    expect(deleteRequest(withGetters(fields) as DeleteRequest)).toEqual(deleteRequest(fields));
  });

  test("filter a subscription", () => {
    expect(splitSubscribe(withGetters({ categories: ["a"] })).filters).toEqual({ categories: ["a"] });
  });
});

describe("The JSON client alone", () => {
  const connect = clients["The JSON client"];

  test.each([
    [{ transport: "ws" }, "options: unknown key transport"],
    [{ subscribe: { kinds: [3] } }, "subscribe.kinds: must be an array of strings"],
  ])("refuses the options %j", (options, sentence) => {
    expectTypeError(
      thrownBy(() => connect({ url: "http://127.0.0.1:1", token: () => "token", ...options })),
      sentence,
    );
  });
});
