import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PublishBatchRequestSchema, PushService } from "../../../src/gen.ts";
import { rows } from "./requests.ts";
import { openStage, type Stage } from "./stage.ts";
import { protocolsOf } from "./wire.ts";

let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});

afterAll(() => stage.close());

/** The publishes that are refused from a service of one tenant. */
const bad = rows.filter(({ method, as }) => method === "Publish" && as === "service");

function good(index: number): JsonObject {
  return { audience: { userId: "bob" }, message: { kind: "KIND_NOTIFICATION", title: `good ${index}` } };
}

/** `FieldInvalid` → `field_invalid`, as Connect writes it. */
function codeName(code: string): string {
  return code.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
}

test("A batch reports every item by itself, in order, and stores the valid ones", async () => {
  let stored = 0;
  for (const [protocol, transport] of protocolsOf(stage.server.url)) {
    const client = createClient(PushService, transport);
    const items = bad.flatMap(({ request }, index) => [good(index), request as JsonObject]);
    const batch = fromJson(PublishBatchRequestSchema, { requests: items });
    const { outcomes } = await client.publishBatch(batch, { headers: stage.as("service") });
    expect(outcomes).toHaveLength(items.length);
    bad.forEach(({ name, code, reason, field }, index) => {
      expect.soft(outcomes[2 * index]?.result.case, `${protocol}: the item before ${name}`).toBe("ok");
      const refused = outcomes[2 * index + 1]?.result;
      expect
        .soft(refused, `${protocol}: ${name}`)
        .toMatchObject({ case: "error", value: { code: codeName(code), reason } });
      if (refused?.case === "error") expect.soft(refused.value.message, `${protocol}: ${name}`).toContain(field);
    });
    stored += bad.length;
    const { messages, unread } = await client.listUnread(
      { pageSize: 100, categories: [] },
      { headers: stage.as("bob") },
    );
    const own = messages.filter(({ title }) => title.startsWith("good "));
    // Bob's list also has the tenant's broadcasts.
    expect(unread?.total).toBe(stored + 12);
    expect(own.slice(0, bad.length).map(({ title }) => title)).toEqual(
      bad.map((_, index) => `good ${index}`).reverse(),
    );
  }
});

test("A batch of invalid items changes nothing", async () => {
  const before = await stage.snapshot();
  const [, transport] = protocolsOf(stage.server.url)[3] ?? [];
  if (!transport) throw new Error("no transport");
  const batch = fromJson(PublishBatchRequestSchema, { requests: bad.map(({ request }) => request as JsonObject) });
  const { outcomes } = await createClient(PushService, transport).publishBatch(batch, { headers: stage.as("service") });
  expect(outcomes.map(({ result }) => result.case)).toEqual(bad.map(() => "error"));
  expect(await stage.snapshot()).toBe(before);
});

test("A payload of the greatest depth can be listed and streamed in every protocol", async () => {
  const nested = (levels: number): JsonObject => (levels === 0 ? {} : { a: nested(levels - 1) });
  const message = { kind: "KIND_NOTIFICATION", title: "deep", json: nested(31) };
  const batch = fromJson(PublishBatchRequestSchema, { requests: [{ audience: { userId: "deep" }, message }] });
  const headers = { authorization: `Bearer ${await stage.server.token({ sub: "deep", tenant: "acme" })}` };
  for (const [protocol, transport] of protocolsOf(stage.server.url)) {
    const client = createClient(PushService, transport);
    const { outcomes } = await client.publishBatch(batch, { headers: stage.as("service") });
    expect.soft(outcomes[0]?.result.case, protocol).toBe("ok");
    const { messages } = await client.listMessages({}, { headers });
    expect.soft(messages[0]?.payload.case, protocol).toBe("json");
    const ending = new AbortController();
    const positions = [{ feed: "user", seq: "0" }];
    for await (const { event } of client.subscribe({ positions }, { headers, signal: ending.signal })) {
      if (event.case !== "message") continue;
      expect.soft(event.value.payload, protocol).toEqual(messages[0]?.payload);
      break;
    }
    ending.abort();
  }
});
