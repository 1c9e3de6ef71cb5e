/** Messages that earlier versions stored although JSON cannot express their payload. */
import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { MemoryBus } from "../../../src/adapters/memory/bus.ts";
import { SqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { Kind, MessageSchema, PushService } from "../../../src/gen.ts";
import { startServer, type TestServer } from "../../support/server.ts";
import { callerOf } from "./readers.ts";
import { memoryLogger } from "./stage.ts";
import { protocolsOf } from "./wire.ts";

const { logger, lines } = memoryLogger();
const bus = new MemoryBus();
const store = new SqliteStore({ folder: ":memory:", keep: 1000 });
let server: TestServer;
const ids: string[] = [];
let headers: { authorization: string };

const poisons: readonly (readonly [name: string, value: Value])[] = [
  ["nan", create(ValueSchema, { kind: { case: "numberValue", value: Number.NaN } })],
  ["none", create(ValueSchema, { kind: { case: "listValue", value: { values: [create(ValueSchema)] } } })],
];

function bodyOf(id: string, name: string, value: Value): Uint8Array {
  const publishTime = timestampFromMs(Date.now());
  const payload = { case: "json", value } as const;
  const title = `poison ${name}`;
  return toBinary(
    MessageSchema,
    create(MessageSchema, { id, kind: Kind.NOTIFICATION, title, event: "message", payload, publishTime }),
  );
}

/** Stores a message past validation, as an earlier version did, announces it, and returns its id. */
async function poison(name: string, value: Value): Promise<string> {
  const id = randomUUID();
  const feed = { tenant: "acme", name: "user/ann" };
  const body = bodyOf(id, name, value);
  const expireTime = Date.now() + 1_000_000;
  const rest = { key: "", digest: "", replace: false, category: "", actorId: "", objectType: "", objectId: "" };
  const [result] = await store.append([
    {
      ...rest,
      tenant: "acme",
      id,
      feeds: [feed.name],
      body,
      kind: Kind.NOTIFICATION,
      batchId: "b",
      publishTime: Date.now(),
      expireTime,
    },
  ]);
  if (result?.outcome !== "stored") throw new Error("not stored");
  bus.publish([{ type: "entry", feed, id, seq: result.seqs[0] as number, epoch: 1, body, expireTime }]);
  return id;
}

beforeAll(async () => {
  server = await startServer({ store, bus, logger });
  headers = { authorization: `Bearer ${await server.token({ tenant: "acme" })}` };
  for (const [name, value] of poisons) ids.push(await poison(name, value));
});

afterAll(() => server.stop());

describe("A stored payload that JSON cannot express", () => {
  test("is missing from lists in JSON, and present in Protobuf", async () => {
    for (const [protocol, transport] of protocolsOf(server.url)) {
      const client = createClient(PushService, transport);
      const isJson = protocol === "Connect JSON";
      const { messages } = await client.listMessages({}, { headers });
      expect.soft(messages.map(({ title }) => title).sort(), protocol).toEqual(["poison nan", "poison none"]);
      for (const { payload } of messages) expect.soft(payload.case, protocol).toBe(isJson ? undefined : "json");
      const { messages: unread, unread: totals } = await client.listUnread({}, { headers });
      expect.soft([unread.length, totals?.total], protocol).toEqual([2, 2]);
      const service = { authorization: `Bearer ${await server.token({ tenant: "acme", role: "service" })}` };
      const batch = await client.listMessages({ batchId: "b" }, { headers: service });
      expect.soft(batch.messages.length, protocol).toBe(2);
    }
  });

  test("is missing from lists by GET", async () => {
    const baseUrl = server.url;
    const transport = createConnectTransport({ baseUrl, httpVersion: "1.1", useHttpGet: true, useBinaryFormat: false });
    const { messages } = await createClient(PushService, transport).listUnread({}, { headers });
    expect(messages.map(({ payload }) => payload.case)).toEqual([undefined, undefined]);
  });

  test.each(["Connect JSON", "ws JSON"] as const)("is missing from streams over %s, which go on", async (name) => {
    const caller = await callerOf(server, name, { tenant: "acme" }, onTestFinished);
    const stream = caller.subscribe({ positions: [{ feed: "user", seq: "0" }] });
    for (const [poisoned] of poisons) {
      const message = await stream.until("message");
      expect([message.title, message.payload.case]).toEqual([`poison ${poisoned}`, undefined]);
    }
    await stream.until("caughtUp");
    await poison(name, poisons[0]?.[1] as Value);
    const message = await stream.until("message");
    expect([message.title, message.payload.case]).toEqual([`poison ${name}`, undefined]);
  });

  test("is present in streams over gRPC, which go on", async () => {
    const [, transport] = protocolsOf(server.url)[3] ?? [];
    if (!transport) throw new Error("no transport");
    const ending = new AbortController();
    const request = { positions: [{ feed: "user", seq: "0" }] };
    const stream = createClient(PushService, transport).subscribe(request, { headers, signal: ending.signal });
    const cases: unknown[] = [];
    for await (const { event } of stream) {
      if (event.case === "message") cases.push(event.value.payload.case);
      if (event.case === "caughtUp") await poison("over gRPC", poisons[0]?.[1] as Value);
      if (event.case === "message" && event.value.title === "poison over gRPC") break;
    }
    ending.abort();
    expect(new Set(cases)).toEqual(new Set(["json"]));
  });

  test("is logged once with its id", () => {
    const logged = lines.map((line) => JSON.parse(line) as { messageId?: string; level: number });
    for (const id of ids) expect(logged.filter(({ messageId }) => messageId === id)).toHaveLength(1);
    expect(logged.filter(({ level, messageId }) => level >= 50 && messageId === undefined)).toEqual([]);
  });
});
