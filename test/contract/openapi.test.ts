/** The schemas of gen/openapi.json, compared with the requests that a server accepts and refuses, and with its answers. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type DescMessage,
  fromJson,
  fromJsonString,
  type JsonObject,
  type JsonValue,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reasonsOfOthers } from "../../scripts/openapi/errors.ts";
import { openApi as describeInterface } from "../../scripts/openapi.ts";
import { loadDescriptors } from "../../src/contract/descriptors.ts";
import { createValidate } from "../../src/contract/validate.ts";
import { errorTable, type Reason } from "../../src/errors.ts";
import { AdminService, PublishRequestSchema, PushService } from "../../src/gen.ts";
import { rows } from "../support/request-fields.ts";
import { root } from "../support/run.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";
import { wildRequest } from "../support/wild-requests.ts";

interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, unknown>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, { readonly properties?: object; readonly required?: string[] }>>;
    readonly responses: Readonly<Record<string, { readonly description: string }>>;
  };
}
const document = JSON.parse(readFileSync(join(root, "gen/openapi.json"), "utf8")) as Document;

const ajv = new Ajv2020({ strict: false, allErrors: false, formats: { "date-time": true, int32: true } });
ajv.addSchema(document, "openapi");
const compiled = new Map<string, (value: unknown) => boolean>();

/** Reports whether a value obeys the schema at a JSON pointer of the document. */
function obeys(pointer: string, value: unknown): boolean {
  const check = compiled.get(pointer) ?? ajv.compile({ $ref: `openapi#${pointer}` });
  compiled.set(pointer, check);
  return check(value);
}
const schemaOf = ({ name }: DescMessage) => `/components/schemas/${name}`;

const validate = createValidate(loadDescriptors());

/** The canonical JSON of a request, which is the form that the schemas describe. */
function canonical(schema: DescMessage, json: JsonValue): JsonValue {
  return toJson(schema, fromJson(schema, json));
}

/** The request in a JSON text, if a server accepts it; undefined if not. */
function accepted<Desc extends DescMessage>(schema: Desc, text: string): MessageShape<Desc> | undefined {
  try {
    const message = fromJsonString(schema, text);
    validate(schema, message);
    // A batch is accepted whatever its items are, and each item is refused by itself; the schema describes valid items.
    const { requests } = message as { requests?: MessageShape<typeof PublishRequestSchema>[] };
    for (const request of requests ?? []) validate(PublishRequestSchema, request);
    return message;
  } catch {
    return undefined;
  }
}

const methods = [...PushService.methods, ...AdminService.methods];
const inputs = methods.map(({ input }) => input);

test("gen/openapi.json is what the generator makes", () => {
  const { version, homepage } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  expect(describeInterface(version, homepage.replace(/#.*/, ""))).toEqual(document);
});

type Fields = Readonly<Record<string, JsonValue>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Puts those fields of a wild request into a good one with which a server accepts it. */
function grow(input: DescMessage, good: Fields, wild: Fields, put = (fields: Fields): Fields => fields): Fields {
  let grown = good;
  for (const [key, value] of Object.entries(wild)) {
    const inner = grown[key];
    const before = grown;
    const set = (changed: JsonValue): Fields => ({ ...before, [key]: changed });
    if (isFields(inner) && isFields(value)) grown = set(grow(input, inner, value, (fields) => put(set(fields))));
    else if (accepted(input, JSON.stringify(put(set(value))))) grown = set(value);
  }
  return grown;
}

const message = { kind: "KIND_EVENT" };
const audience = { userId: "ann" };
/** Good requests that wild fields are put into, by type. Default: an empty one. */
const seeds: Readonly<Record<string, readonly Fields[]>> = {
  PublishRequest: [
    { audience, message },
    { audience: { users: { userIds: ["ann"] } }, message },
    { audience: { roomId: "r" }, message: { kind: 1 }, requestId: "r" },
    { audience: { tenant: true }, message: { kind: "KIND_ACTIVITY" } },
  ],
  PublishBatchRequest: [{ requests: [{ audience, message }] }],
  MarkReadRequest: [{ all: true }, { categories: [""] }, { oldest: 7 }, { ids: { messageIds: ["a"] } }],
  DeleteMessagesRequest: [{ expiredOnly: true }, { category: "c" }, { ids: { messageIds: ["a"] } }],
  DisconnectRequest: [{ userId: "ann" }],
};

describe("The schemas", () => {
  test.each(inputs.map((input) => [input.name, input] as const))(
    "never refuse a %s that a server accepts",
    (name, input) => {
      const requests = fc.tuple(fc.constantFrom(...(seeds[name] ?? [{}])), wildRequest(input));
      fc.assert(
        fc.property(requests, ([good, wild]) => {
          const message = accepted(input, JSON.stringify(grow(input, good, JSON.parse(wild.json))));
          const sent = toJson(input, message as MessageShape<typeof input>);
          expect(obeys(schemaOf(input), sent), JSON.stringify(sent)).toBe(true);
        }),
        { numRuns: 200 },
      );
    },
  );

  /** Rules that patterns cannot express: bounds of a duration. */
  const inexact = [{ ttl: "0s" }, { ttl: "315360001s" }];
  const described = rows.filter(({ schema }) => inputs.some(({ typeName }) => typeName === schema.typeName));

  /** A batch with valid items, which the schema describes, while a server accepts others and refuses each by itself. */
  const withItems = (json: JsonObject): JsonObject =>
    Array.isArray(json.requests) ? { requests: json.requests.map(() => ({ audience, message })) } : json;

  test.each(described.map((row) => ({ ...row, name: JSON.stringify(row.bad).slice(0, 60) })))(
    "refuse $field in $name",
    ({ schema, bad, good }) => {
      expect(obeys(schemaOf(schema), canonical(schema, withItems(good)))).toBe(true);
      const isInexact = inexact.some(({ ttl }) => JSON.stringify(bad).includes(`"ttl":"${ttl}"`));
      expect(obeys(schemaOf(schema), canonical(schema, withItems(bad)))).toBe(isInexact);
    },
  );

  test.each([
    ["an unknown name", { audience, message, requestid: "x" }],
    ["an unknown name further down", { audience, message: { ...message, body: "x" } }],
    ["two audiences", { audience: { userId: "ann", tenant: true }, message }],
    ["two payloads", { audience, message: { ...message, json: null, binary: "" } }],
    ["a name of an enum that does not exist", { audience, message: { kind: "NOTIFICATION" } }],
    ["text that is a number", { audience, message: { ...message, title: 7 } }],
    ["bytes that are no base64", { audience, message: { ...message, binary: "a b!" } }],
    ["a duration in another form", { audience, message: { ...message, ttl: "PT1H" } }],
    ["a duration without a unit", { audience, message: { ...message, ttl: 3600 } }],
    ["a list instead of an object", { audience: ["ann"], message }],
    ["no object", "publish"],
    ["nothing", null],
  ])("refuse %s", (_what, request) => {
    expect(obeys(schemaOf(PublishRequestSchema), request)).toBe(false);
    expect(accepted(PublishRequestSchema, JSON.stringify(request))).toBeUndefined();
  });

  test("take a time with an offset, and refuse a date alone", () => {
    const { input } = PushService.method.listUnread;
    for (const [startTime, isGood] of [
      ["2026-03-30T12:00:00Z", true],
      ["2026-03-30T12:00:00.123456789+02:00", true],
      ["2026-03-30", false],
      ["tomorrow", false],
    ] as const) {
      expect(obeys(schemaOf(input), { startTime }), startTime).toBe(isGood);
      expect(accepted(input, JSON.stringify({ startTime })) !== undefined, startTime).toBe(isGood);
    }
  });
});

describe("The operations", () => {
  test("are all methods, a GET for each without side effects, the feeds and the probes", () => {
    const paths = methods.map((method) => [
      `/${method.parent.typeName}/${method.name}`,
      method.idempotency === 1 ? ["post", "get"] : ["post"],
    ]);
    const others = ["/stream/{feed}", "/stream/room/{roomId}", "/livez", "/readyz"].map((path) => [path, ["get"]]);
    expect(Object.entries(document.paths).map(([path, item]) => [path, Object.keys(item)])).toEqual([
      ...paths,
      ...others,
    ]);
  });

  test("name every reason of the table but those that no call fails with", () => {
    const named = Object.values(document.components.responses).flatMap(({ description }) =>
      [...description.matchAll(/^- `(\w+)`/gm)].map(([, reason]) => reason),
    );
    expect(named.sort()).toEqual(
      Object.keys(errorTable)
        .filter((reason) => !reasonsOfOthers.includes(reason as Reason))
        .sort(),
    );
  });
});

describe("What a server answers", () => {
  let server: TestServer;
  const tenant = newTenant();
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.stop());

  async function call(method: string, request: object, role?: "user" | "service") {
    const token = role && (await server.token({ role, tenant }));
    const response = await fetch(`${server.url}/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) },
      body: JSON.stringify(request),
    });
    return { status: response.status, json: (await response.json()) as unknown };
  }

  const push = "tidings.v1.PushService";
  const draft = { kind: "KIND_NOTIFICATION", title: "Hi", actor: { id: "bob" }, json: { a: [1] }, ttl: "60s" };
  const publish = { audience: { userId: "ann" }, message: draft, requestId: "r" };

  test.each([
    [`${push}/Publish`, publish, "service"],
    [`${push}/PublishBatch`, { requests: [publish, { audience: { userId: "" }, message: {} }] }, "service"],
    [`${push}/ListUnread`, {}, "user"],
    [`${push}/ListMessages`, { pageSize: 1 }, "user"],
    [`${push}/MarkRead`, { all: true }, "user"],
    [`${push}/DeleteMessages`, { category: "x" }, "user"],
    [`${push}/OnlineCount`, { users: { userIds: ["ann"] } }, "user"],
    ["tidings.v1.AdminService/Disconnect", { userId: "zoe" }, "service"],
  ] as const)("to %s obeys the schema of the response", async (method, request, role) => {
    const { status, json } = await call(method, request, role);
    expect(status).toBe(200);
    const output = methods.find(({ parent, name }) => `${parent.typeName}/${name}` === method)?.output as DescMessage;
    expect(obeys(schemaOf(output), json), JSON.stringify(json)).toBe(true);
    // Without its first required property it would not.
    const [required = ""] = document.components.schemas[output.name]?.required ?? [];
    expect(obeys(schemaOf(output), { ...(json as object), [required]: undefined })).toBe(false);
  });

  test.each([
    [400, `${push}/Publish`, { audience: {}, message: draft }, "service"],
    [400, `${push}/Publish`, { nope: 1 }, "service"],
    [401, `${push}/ListUnread`, {}, undefined],
    [403, `${push}/PublishBatch`, { requests: [publish] }, "user"],
    [409, `${push}/Publish`, { ...publish, requestId: "taken" }, "service"],
    [429, `${push}/Publish`, { ...publish, message: { ...draft, content: "x".repeat(70_000) } }, "service"],
  ] as const)("with status %i to %s obeys the schema of the error", async (status, method, request, role) => {
    if (status === 409) await call(method, { ...request, audience: { userId: "bob" } }, "service");
    const answer = await call(method, request, role);
    expect(answer.status).toBe(status);
    const pointer = (code: number) => `/components/responses/Error${code}/content/application~1json/schema`;
    expect(obeys(pointer(status), answer.json), JSON.stringify(answer.json)).toBe(true);
    expect(obeys(pointer(status === 400 ? 403 : 400), answer.json)).toBe(false);
  });

  test("to a reader of a feed obeys the schemas of the response and of the errors", async () => {
    await call(`${push}/Publish`, { ...publish, requestId: "feed" }, "service");
    const authorization = `Bearer ${await server.token({ tenant })}`;
    const read = async (query: string) => {
      const response = await fetch(`${server.url}/stream/user${query}`, { headers: { authorization } });
      return { status: response.status, headers: response.headers, json: (await response.json()) as unknown };
    };
    const page = await read("?kinds=KIND_NOTIFICATION&kinds=KIND_EVENT");
    const of200 = "/paths/~1stream~1{feed}/get/responses/200";
    expect(page.status).toBe(200);
    expect(page.json).toContainEqual(expect.objectContaining({ title: "Hi" }));
    expect(obeys(`${of200}/content/application~1json/schema`, page.json)).toBe(true);
    expect([...page.headers.keys()]).toEqual(
      expect.arrayContaining(["stream-next-offset", "stream-up-to-date", "stream-cursor"]),
    );
    const bad = await read("?offset=nonsense");
    expect(bad.status).toBe(400);
    expect(obeys("/components/responses/Error400/content/application~1json/schema", bad.json)).toBe(true);
  });
});
