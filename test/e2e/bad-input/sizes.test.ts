/** What a request makes the server store, compute and answer has a bound, whatever the bytes of the request. */
import { create, fromJson, type JsonObject, toBinary, toJsonString } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  Kind,
  ListMessagesResponseSchema,
  PublishBatchRequestSchema,
  PublishRequestSchema,
  PushService,
} from "../../../src/gen.ts";
import { newTenant } from "../../support/server.ts";
import { envelope, pathOf, post, postGrpc } from "./raw.ts";
import { openStage, type Stage } from "./stage.ts";
import { protocolsOf, refusalOf } from "./wire.ts";

const mebibyte = 1024 * 1024;
let stage: Stage;
let protocols: readonly (readonly [name: string, transport: Transport])[];

beforeAll(async () => {
  stage = await openStage({ maxBatchEntries: 30 });
  protocols = protocolsOf(stage.server.url);
});

afterAll(() => stage.close());

/** The headers of a user or service of a tenant. */
async function headersOf(tenant: string, role: "user" | "service"): Promise<{ authorization: string }> {
  return { authorization: `Bearer ${await stage.server.token({ tenant, role })}` };
}

/** Adds an unknown field of 60 kB to a message and, by their numbers, to messages within it. */
function withUnknown(body: Uint8Array, ...path: readonly number[]): Uint8Array<ArrayBuffer> {
  const unknown = new BinaryWriter().tag(1000, WireType.LengthDelimited).bytes(new Uint8Array(60_000)).finish();
  // Protobuf merges a message that comes twice: this one has the unknown field only.
  const nested = path
    .toReversed()
    .reduce<Uint8Array>(
      (inner, number) => new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(inner).finish(),
      unknown,
    );
  return new Uint8Array(Buffer.concat([body, nested]));
}

describe("Unknown Protobuf fields are neither stored nor delivered", () => {
  const request = create(PublishRequestSchema, {
    audience: { to: { case: "userId", value: "ann" } },
    message: {
      kind: Kind.NOTIFICATION,
      title: "small",
      actor: { id: "a" },
      object: { type: "t", id: "o" },
      payload: { case: "json", value: { kind: { case: "listValue", value: { values: [] } } } },
    },
  });

  test.each([
    ["the request", []],
    ["the audience", [2]],
    ["the draft", [3]],
    ["the actor", [3, 6]],
    ["the object", [3, 7]],
    ["the payload", [3, 9]],
    ["a list in the payload", [3, 9, 6]],
  ])("in %s", async (_name, path) => {
    const tenant = newTenant();
    const body = withUnknown(toBinary(PublishRequestSchema, request), ...path);
    const url = stage.server.url + pathOf("Publish");
    const service = await headersOf(tenant, "service");
    const { status } = await post(url, body, { "content-type": "application/proto", ...service });
    expect(status).toBe(200);
    await postGrpc(url, envelope(body), { "content-type": "application/grpc", ...service });
    const user = await headersOf(tenant, "user");
    for (const [protocol, transport] of protocols) {
      const answer = await createClient(PushService, transport).listMessages({}, { headers: user });
      expect.soft(answer.messages.length, protocol).toBe(2);
      expect.soft(toBinary(ListMessagesResponseSchema, answer).length, protocol).toBeLessThan(1000);
    }
  });
});

describe("A batch over maxBatchEntries", () => {
  const users = (count: number) => ({ users: { userIds: Array.from({ length: count }, (_, index) => `u${index}`) } });
  const message = { kind: "KIND_NOTIFICATION", title: "t" };

  test.each<[string, JsonObject[]]>([
    ["of one request", [{ audience: users(31), message }]],
    [
      "of several",
      [
        { audience: users(15), message },
        { audience: users(15), message },
        { audience: { userId: "x" }, message },
      ],
    ],
    ["of single users", Array.from({ length: 31 }, () => ({ audience: { userId: "u1" }, message }))],
    ["of invalid requests", Array.from({ length: 31 }, () => ({}))],
  ])("%s is refused as a whole before anything is stored", async (_name, requests) => {
    const tenant = newTenant();
    const service = await headersOf(tenant, "service");
    for (const [protocol, transport] of protocols) {
      const refusal = await refusalOf(transport, "PublishBatch", { requests }, service);
      expect
        .soft(refusal, protocol)
        .toMatchObject({ code: "ResourceExhausted", reason: "REQUEST_TOO_LARGE", field: "requests" });
    }
    const headers = { authorization: `Bearer ${await stage.server.token({ tenant, sub: "u1" })}` };
    const [, transport] = protocols[3] ?? [];
    const { unread } = await createClient(PushService, transport as Transport).listUnread({}, { headers });
    expect(unread?.total).toBe(0);
  });

  test("is not one that has exactly as many", async () => {
    const service = await headersOf(newTenant(), "service");
    for (const [protocol, transport] of protocols) {
      const batch = fromJson(PublishBatchRequestSchema, { requests: [{ audience: users(30), message }] });
      const { outcomes } = await createClient(PushService, transport).publishBatch(batch, { headers: service });
      expect.soft(outcomes[0]?.result.case, protocol).toBe("ok");
    }
  });
});

describe("A list of large messages", () => {
  test.each([
    ["of text", "x".repeat(60_000)],
    ["of characters that JSON escapes", "\u0001".repeat(60_000)],
  ])(
    "%s ends its pages at 1 MiB as they are sent, and its tokens lead to every message once",
    async (_name, content) => {
      const tenant = newTenant();
      const service = await headersOf(tenant, "service");
      const user = await headersOf(tenant, "user");
      const client = createClient(PushService, protocols[3]?.[1] as Transport);
      const requests = Array.from({ length: 10 }, (_, index) => ({
        audience: { to: { case: "userId", value: "ann" } as const },
        message: { kind: Kind.NOTIFICATION, title: `${index}`, content, batchId: "b" },
      }));
      for (let call = 0; call < 3; call++) await client.publishBatch({ requests }, { headers: service });
      for (const [protocol, transport] of protocols) {
        const lists = createClient(PushService, transport);
        for (const list of ["unread", "messages", "batch"] as const) {
          const ids: string[] = [];
          let pages = 0;
          for (let pageToken = ""; pages === 0 || pageToken !== ""; pages++) {
            const request = { pageSize: 100, pageToken };
            const answer =
              list === "unread"
                ? await lists.listUnread(request, { headers: user })
                : list === "messages"
                  ? await lists.listMessages(request, { headers: user })
                  : await lists.listMessages({ ...request, batchId: "b" }, { headers: service });
            const page = create(ListMessagesResponseSchema, { messages: answer.messages });
            const bytes =
              protocol === "Connect JSON"
                ? Buffer.byteLength(toJsonString(ListMessagesResponseSchema, page))
                : toBinary(ListMessagesResponseSchema, page).length;
            expect.soft(bytes, `${list} over ${protocol}`).toBeLessThan(mebibyte);
            ids.push(...answer.messages.map(({ id }) => id));
            pageToken = answer.nextPageToken;
          }
          expect.soft([ids.length, new Set(ids).size], `${list} over ${protocol}`).toEqual([30, 30]);
          expect.soft(pages, `${list} over ${protocol}`).toBeGreaterThan(1);
        }
      }
    },
  );
});
