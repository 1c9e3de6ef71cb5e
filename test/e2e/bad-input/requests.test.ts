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
  // 2 tenants of 12 + 12, and the one with a request id; a read state for each user that was looked at.
  expect(await stage.close()).toEqual({ messages: 49, entries: 49, feeds: 4, read_states: 3 });
});

describe.each([...methods.keys()])("%s refuses", (method) => {
  const own = rows.filter((row) => row.method === method);

  test.each(own)("$name: $code, $reason $field", async ({ as, request, code, reason, field }) => {
    const message = typeof request === "function" ? request(stage.known) : request;
    for (const [protocol, transport] of protocols) {
      const refusal = await refusalOf(transport, method, message, stage.as(as));
      expect.soft(refusal, protocol).toMatchObject({ code, reason, field, domain: "tidings" });
      if (field === undefined) continue;
      expect.soft(refusal?.violations[0], protocol).toBe(field);
      expect.soft(refusal?.message, protocol).toMatch(`${field}: `);
    }
    expect(await stage.snapshot()).toBe(before);
  });
});

/** Who may call a method with any request. */
function callerOf(method: string): CallerName {
  return ["Publish", "PublishBatch", "Disconnect"].includes(method) ? "service" : "ann";
}

test("every rule of every field holds on the wire, in every protocol", async () => {
  let checked = 0;
  for (const { schema, bad, path } of fieldRows) {
    const method = [...methods.values()].find(({ input }) => input.typeName === schema.typeName);
    // What is not built refuses everything; frames of the bridge have a test of their own.
    if (!method || method.name === "Disconnect") continue;
    const [protocol, transport] = protocols[checked++ % protocols.length] as (typeof protocols)[number];
    const refusal = await refusalOf(transport, method.name, bad, stage.as(callerOf(method.name)));
    expect
      .soft(refusal, `${protocol} ${method.name} ${path}`)
      .toMatchObject({ code: "InvalidArgument", reason: "FIELD_INVALID", field: path });
  }
  expect(checked).toBeGreaterThan(100);
  expect(await stage.snapshot()).toBe(before);
});
