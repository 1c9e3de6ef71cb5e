import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rows as fieldRows } from "../../support/request-fields.ts";
import { rows } from "./requests.ts";
import { type CallerName, openStage, type Stage } from "./stage.ts";
import { methods, protocolsOf, refusalOf } from "./wire.ts";

let stage: Stage;
let protocols: ReturnType<typeof protocolsOf>;
let before: string;

beforeAll(async () => {
  stage = await openStage();
  protocols = protocolsOf(stage.server.url);
  before = await stage.snapshot();
});

afterAll(async () => {
  // Two tenants with 12 + 12 messages, and the one with a request id; a read state for each user whose inbox was read.
  expect(await stage.close()).toEqual({ messages: 49, entries: 49, feeds: 4, read_states: 3 });
});

describe.each([...methods.keys()])("%s refuses", (method) => {
  const own = rows.filter((row) => row.method === method);

  test.each(own)("$name with $code, $reason, $field", async ({ as, request, code, reason, field }) => {
    const message = typeof request === "function" ? request(stage.known) : request;
    const refusals = protocols.map(([, transport]) => refusalOf(transport, method, message, stage.as(as)));
    for (const [index, refusal] of (await Promise.all(refusals)).entries()) {
      const [protocol] = protocols[index] as (typeof protocols)[number];
      expect.soft(refusal, protocol).toMatchObject({ code, reason, field, domain: "tidings" });
      if (field === undefined) continue;
      expect.soft(refusal?.violations[0], protocol).toBe(field);
      expect.soft(refusal?.message, protocol).toMatch(`${field}: `);
    }
  });

  test("all of these without a change of the store", async () => {
    expect(await stage.snapshot()).toBe(before);
  });
});

/** A caller that may call the method. */
function callerOf(method: string): CallerName {
  return ["Publish", "PublishBatch", "Disconnect"].includes(method) ? "service" : "ann";
}

test("Every protocol refuses a request that breaks a rule of any field", async () => {
  let checked = 0;
  for (const { schema, bad, path } of fieldRows) {
    const method = [...methods.values()].find(({ input }) => input.typeName === schema.typeName);
    // bridge.test.ts tests the frames of the bridge.
    if (!method) continue;
    const [protocol, transport] = protocols[checked++ % protocols.length] as (typeof protocols)[number];
    const refusal = await refusalOf(transport, method.name, bad, stage.as(callerOf(method.name)));
    expect
      .soft(refusal, `${protocol} ${method.name} ${path}`)
      .toMatchObject({ code: "InvalidArgument", reason: "FIELD_INVALID", field: path });
  }
  expect(checked).toBeGreaterThan(100);
  expect(await stage.snapshot()).toBe(before);
});
