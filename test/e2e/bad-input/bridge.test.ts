import { fromJson, type JsonObject, toBinary, toJsonString } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { BridgeFrameSchema } from "../../../src/gen.ts";
import { rows as fieldRows } from "../../support/request-fields.ts";
import { rows } from "./requests.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;
let before: string;

beforeAll(async () => {
  stage = await openStage({ timeouts: { headersMs: 300 } });
  before = await stage.snapshot();
});

afterAll(async () => {
  expect(await stage.close()).toMatchObject({ messages: 49, entries: 49 });
});

type Protocol = "tidings.v1.json" | "tidings.v1.proto";
const protocols: readonly Protocol[] = ["tidings.v1.json", "tidings.v1.proto"];

function tokenOf(name: "ann" | "bob" | "stranger" | "service"): string {
  return String((stage.as(name) as Record<string, string>).authorization).replace("Bearer ", "");
}

/**
 * Opens a socket, sends each frame after the response to the one before, and returns the code and reason of the close.
 */
function closeOf(protocol: Protocol, frames: readonly (string | Uint8Array)[], path = "/ws"): Promise<string> {
  const socket = new WebSocket(`${stage.server.url.replace("http", "ws")}${path}`, protocol);
  const waiting = [...frames];
  const next = () => {
    const frame = waiting.shift();
    if (frame !== undefined) socket.send(frame);
  };
  return new Promise((resolve) => {
    socket.on("open", next);
    socket.on("message", next);
    socket.on("error", (error) => resolve(error.message));
    socket.on("close", (code, reason) => resolve(`${code} ${reason}`));
  });
}

function encode(protocol: Protocol, frame: JsonObject): string | Uint8Array {
  const message = fromJson(BridgeFrameSchema, frame);
  return protocol === "tidings.v1.json"
    ? toJsonString(BridgeFrameSchema, message)
    : toBinary(BridgeFrameSchema, message);
}

describe.each(protocols)("A WebSocket of %s", (protocol) => {
  test.each([
    ["a first frame without a token", () => [{ subscribe: {} }], "4016 TOKEN_MISSING"],
    ["a malformed token", () => [{ token: "abc", subscribe: {} }], "4016 TOKEN_INVALID"],
    ["a first frame without a subscription", () => [{ token: tokenOf("ann") }], "4003 FIELD_INVALID: subscribe"],
    ["a token of 8,193 characters", () => [{ token: "x".repeat(8_193), subscribe: {} }], "4003 FIELD_INVALID: token"],
    [
      "a second subscription",
      () => [{ token: tokenOf("ann"), subscribe: {} }, { subscribe: {} }],
      "4003 FIELD_INVALID: subscribe",
    ],
    [
      "the token of another user",
      () => [{ token: tokenOf("ann"), subscribe: {} }, { token: tokenOf("bob") }],
      "4016 TOKEN_INVALID: token",
    ],
    [
      "the token of a user of the same name in another tenant",
      () => [{ token: tokenOf("ann"), subscribe: {} }, { token: tokenOf("stranger") }],
      "4016 TOKEN_INVALID: token",
    ],
    [
      "a mark without a target",
      () => [{ token: tokenOf("ann"), subscribe: {} }, { markRead: {} }],
      "4003 FIELD_INVALID: mark_read.target",
    ],
    [
      "a mark from a service",
      () => [{ token: tokenOf("service"), subscribe: {} }, { markRead: { all: true } }],
      "4007 ROLE_FORBIDDEN: mark_read",
    ],
  ] as const)("is closed after %s, with %s", async (_name, frames, close) => {
    const sent = frames().map((frame) => encode(protocol, frame as JsonObject));
    expect(await closeOf(protocol, sent)).toMatch(close);
    expect(await stage.snapshot()).toBe(before);
  });

  const subscriptions = rows.filter(({ method, as }) => method === "Subscribe" && as === "ann");

  test.each(subscriptions)(
    "is closed after a subscription with $name, with $reason, $field",
    async ({ request, reason, field }) => {
      const close = await closeOf(protocol, [
        encode(protocol, { token: tokenOf("ann"), subscribe: request as JsonObject }),
      ]);
      // The rules of the contract name the field from the frame, the checks of the stream name it from the request.
      expect(close).toMatch(new RegExp(`^40\\d\\d ${reason}: (subscribe\\.)?${field?.replace(/[.[\]]/g, "\\$&")}: `));
    },
  );

  test("is closed after a frame that breaks a rule of any field", async () => {
    for (const { bad, path } of fieldRows.filter(({ schema }) => schema.typeName === BridgeFrameSchema.typeName)) {
      expect.soft(await closeOf(protocol, [encode(protocol, bad)]), path).toMatch(`4003 FIELD_INVALID: ${path}`);
    }
  });
});

test.each([
  ["Malformed JSON", "tidings.v1.json", "{'token':1}", "4003 BODY_INVALID"],
  ["An empty frame of JSON", "tidings.v1.json", "", "4003 BODY_INVALID"],
  ["A list", "tidings.v1.json", "[]", "4003 BODY_INVALID"],
  ["A frame that is not UTF-8", "tidings.v1.json", new Uint8Array([0x7b, 0xff, 0x7d]), "4003 BODY_INVALID"],
  ["Malformed Protobuf", "tidings.v1.proto", new Uint8Array([0x0f, 0x00]), "4003 BODY_INVALID"],
  ["An empty frame of Protobuf", "tidings.v1.proto", new Uint8Array(0), "4016 TOKEN_MISSING"],
  ["A frame over 64 KiB", "tidings.v1.proto", new Uint8Array(70_000), "1009"],
] as const)("%s closes a WebSocket", async (_name, protocol, frame, close) => {
  expect(await closeOf(protocol, [frame])).toMatch(close);
  expect(await stage.snapshot()).toBe(before);
});

test("A WebSocket that sends nothing is closed", async () => {
  expect(await closeOf("tidings.v1.json", [])).toMatch("4016 TOKEN_MISSING");
});

test("A WebSocket that sends a flood of frames is closed before they pile up", async () => {
  const socket = new WebSocket(`${stage.server.url.replace("http", "ws")}/ws`, "tidings.v1.json");
  const close = new Promise((resolve) => socket.on("close", (code, reason) => resolve(`${code} ${reason}`)));
  await new Promise((resolve) => socket.on("open", resolve));
  for (let frame = 0; frame < 100; frame++)
    socket.send(encode("tidings.v1.json", { token: tokenOf("ann"), subscribe: {} }));
  expect(await close).toMatch(/^4014 OVERLOADED|^4003 FIELD_INVALID/);
});

test.each([
  ["A token in the query", () => `/ws?token=${tokenOf("ann")}`, "tidings.v1.json"],
  ["An unknown subprotocol", () => "/ws", "soap"],
])("%s is refused before the socket opens", async (_name, path, protocol) => {
  expect(await closeOf(protocol as Protocol, [], path())).toBe("Unexpected server response: 400");
});

/** The names of members that every object inherits, so that a lookup by name in an object finds them. */
const inherited = Object.getOwnPropertyNames(Object.prototype);

test.each(inherited)("The inherited name %s is not chosen as a subprotocol", async (name) => {
  const url = `${stage.server.url.replace("http", "ws")}/ws`;
  for (const offered of [
    [name, "tidings.v1.json"],
    ["tidings.v1.json", name],
  ]) {
    const socket = new WebSocket(url, offered);
    const close = new Promise((resolve) => socket.on("close", (code, reason) => resolve(`${code} ${reason}`)));
    await new Promise((resolve) => socket.on("open", resolve));
    expect(socket.protocol).toBe("tidings.v1.json");
    socket.send(encode("tidings.v1.json", { token: "abc", subscribe: {} }));
    expect(await close).toMatch("4016 TOKEN_INVALID");
  }
  expect(await closeOf(name as Protocol, [])).toBe("Unexpected server response: 400");
});

test("A foreign origin is refused before the socket opens", async () => {
  const socket = new WebSocket(`${stage.server.url.replace("http", "ws")}/ws`, "tidings.v1.json", {
    origin: "https://evil.example.com",
  });
  expect(await new Promise((resolve) => socket.on("error", ({ message }) => resolve(message)))).toBe(
    "Unexpected server response: 403",
  );
});

test("The log has no text of frames that were refused", () => {
  expect(stage.lines.length).toBeGreaterThan(0);
  for (const line of stage.lines) expect.soft(line).not.toContain(tokenOf("ann"));
});
