/**
 * Random requests of streams, of the bridge, and of the services that need no token, in both codecs; and random headers of
 * any call. They are refused cleanly, and end nothing but themselves.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { BridgeFrameSchema, PushService } from "../../../src/gen.ts";
import { type WildRequest, wildRequest } from "../../support/wild-requests.ts";
import { type Answer, envelope, pathOf, post, postGrpc } from "./raw.ts";
import { openStage, type Stage } from "./stage.ts";
import { describe as refusalOf } from "./wire.ts";

let stage: Stage;

beforeAll(async () => {
  stage = await openStage({ timeouts: { headersMs: 1_000 }, admission: { perSecond: 100_000 } });
});

afterAll(async () => {
  const { status } = await post(stage.server.url + pathOf("ListUnread"), "{}", {
    "content-type": "application/json",
    ...tokenOf("ann"),
  });
  expect(status).toBe(200);
  expect(stage.lines.filter((line) => (JSON.parse(line) as { level: number }).level >= 50)).toEqual([]);
  await stage.close();
});

const tokenOf = (caller: "ann" | "service") => stage.as(caller) as Record<string, string>;
const callers = fc.constantFrom("ann" as const, "service" as const);

/** Expects an error of the table, or a success. */
function expectClean({ status, refusal }: Answer): void {
  if (refusal === undefined) return void expect(status).toBe(200);
  expect(refusal.code).not.toMatch(/Internal|Unknown/);
  expect(refusal.domain).toBe("tidings");
}

/** Opens a stream over HTTP/1.1, and returns the error with which it begins, if it does. Then cuts it. */
async function openingOf(url: string, body: Uint8Array<ArrayBuffer>, headers: Record<string, string>): Promise<Answer> {
  const cutting = new AbortController();
  const response = await fetch(url, { method: "POST", headers, body, signal: cutting.signal });
  let bytes = Buffer.alloc(0);
  for await (const chunk of response.body ?? []) {
    bytes = Buffer.concat([bytes, chunk as Uint8Array]);
    if (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) break;
  }
  cutting.abort();
  const error = errorIn(bytes, response.headers);
  return { status: response.status, ...(error ? { refusal: refusalOf(error) } : {}) };
}

/** The error of the first envelope, in the form of Connect or gRPC-Web, or of the headers. */
function errorIn(bytes: Buffer, headers: Headers): ConnectError | undefined {
  const payload = bytes.subarray(5, 5 + (bytes.length < 5 ? 0 : bytes.readUInt32BE(1)));
  if (bytes[0] === 2) {
    const { error } = JSON.parse(String(payload)) as { error?: unknown };
    const noError = new ConnectError("no error", Code.Unknown);
    return error === undefined ? undefined : errorFromJsonBytes(Buffer.from(JSON.stringify(error)), undefined, noError);
  }
  if (bytes[0] !== 0x80) return findTrailerError(headers);
  const lines = String(payload).trim().split("\r\n");
  return findTrailerError(new Headers(lines.map((line) => line.split(/: ?(.*)/s, 2) as [string, string])));
}

test.each([
  ["application/connect+json", "json"],
  ["application/connect+proto", "binary"],
  ["application/grpc-web+json", "json"],
  ["application/grpc-web+proto", "binary"],
] as const)("Random subscriptions over %s open a stream or are refused cleanly", async (type, codec) => {
  const url = stage.server.url + pathOf("Subscribe");
  await fc.assert(
    fc.asyncProperty(callers, wildRequest(PushService.method.subscribe.input), async (caller, wild) => {
      expectClean(await openingOf(url, envelope(wild[codec]), { "content-type": type, ...tokenOf(caller) }));
    }),
    { numRuns: 60 },
  );
});

/** Sends frames on a bridge of its own, and returns the code with which it is closed. */
async function closeCodeOf(protocol: string, frames: readonly (string | Uint8Array)[]): Promise<number> {
  const socket = new WebSocket(`${stage.server.url.replace("http", "ws")}/ws`, protocol);
  const closed = new Promise<number>((resolve) => socket.on("close", resolve));
  await new Promise((resolve) => socket.on("open", resolve));
  for (const frame of frames) socket.send(frame);
  socket.close(1000);
  return closed;
}

/** A wild frame that has this token where it named another one, or none. */
function withToken({ binary, json }: WildRequest, token: string): WildRequest {
  // Of a field that comes twice, Protobuf takes the last.
  const field = toBinary(BridgeFrameSchema, create(BridgeFrameSchema, { token }));
  const fields = json.replace(/^\{("token":"(?:[^"\\]|\\.)*",?)?/, "");
  const rest = fields === "}" ? "}" : `,${fields}`;
  return { binary: Buffer.concat([binary, field]), json: `{"token":${JSON.stringify(token)}${rest}` };
}

test("Random frames of the bridge in both codecs are obeyed or refused cleanly, first and later ones", async () => {
  const token = tokenOf("ann").authorization?.split(" ")[1] ?? "";
  const opening = create(BridgeFrameSchema, { token, subscribe: {} });
  const openings = { json: JSON.stringify({ token, subscribe: {} }), binary: toBinary(BridgeFrameSchema, opening) };
  const frames = fc.array(wildRequest(BridgeFrameSchema), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(fc.boolean(), frames, async (opened, wild) => {
      for (const [protocol, codec] of [
        ["tidings.v1.json", "json"],
        ["tidings.v1.proto", "binary"],
      ] as const) {
        const [first, ...rest] = wild;
        const sent = opened ? [openings[codec], ...wild.map((each) => each[codec])] : [];
        if (!opened && first) sent.push(withToken(first, token)[codec], ...rest.map((each) => each[codec]));
        const code = await closeCodeOf(protocol, sent);
        // 1009: a frame over 64 KiB. Of the codes of errors, 4002 is `unknown` and 4013 `internal`.
        if (code !== 1000 && code !== 1005 && code !== 1009) expect(code).toSatisfy((each: number) => each > 4002);
        expect(code).not.toBe(4000 + Code.Internal);
      }
    }),
    { numRuns: 100 },
  );
});

describe("Without a token,", () => {
  const { check, list } = Health.method;

  test.each([check, list].map((method) => [method.name, method] as const))(
    "random requests of Health/%s are answered or refused cleanly",
    async (_name, method) => {
      const url = `${stage.server.url}/${Health.typeName}/${method.name}`;
      await fc.assert(
        fc.asyncProperty(wildRequest(method.input), async ({ binary, json }) => {
          expectClean(await post(url, binary, { "content-type": "application/proto" }));
          expectClean(await post(url, json, { "content-type": "application/json" }));
        }),
        { numRuns: 40 },
      );
    },
  );

  test("random requests of Health/Watch open a stream or are refused cleanly", async () => {
    const url = `${stage.server.url}/${Health.typeName}/Watch`;
    await fc.assert(
      fc.asyncProperty(wildRequest(Health.method.watch.input), async ({ binary, json }) => {
        expectClean(await openingOf(url, envelope(binary), { "content-type": "application/connect+proto" }));
        expectClean(await openingOf(url, envelope(json), { "content-type": "application/connect+json" }));
      }),
      { numRuns: 40 },
    );
  });

  test("random requests of reflection are answered or refused cleanly", async () => {
    const { serverReflectionInfo } = ServerReflection.method;
    const url = `${stage.server.url}/${ServerReflection.typeName}/${serverReflectionInfo.name}`;
    await fc.assert(
      fc.asyncProperty(fc.array(wildRequest(serverReflectionInfo.input), { maxLength: 3 }), async (wild) => {
        const body = new Uint8Array(Buffer.concat(wild.map(({ binary }) => envelope(binary))));
        expectClean(await postGrpc(url, body, { "content-type": "application/grpc" }));
      }),
      { numRuns: 60 },
    );
  });
});

test("Random headers of the protocols are refused cleanly", async () => {
  const names = fc.constantFrom(
    ...["connect-timeout-ms", "connect-protocol-version", "grpc-timeout", "connect-accept-encoding", "grpc-encoding"],
    ...["accept-encoding", "content-encoding", "content-type", "x-request-id", "traceparent", "origin"],
    ...["x-forwarded-for", "x-forwarded-host", "forwarded", "x-grpc-web", "x-user-agent", "range", "if-match"],
  );
  const printable = fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((c) => String.fromCharCode(c)) });
  const values = fc.oneof(
    printable,
    fc.constantFrom("", "0", "-1", "1", "99999999999", "1e9", "NaN", "5S", "0n", "gzip", "identity", "br;q=0", "*"),
    fc.constantFrom("application/json; charset=utf-16", "application/grpc", "application/connect+json", "100-continue"),
  );
  await fc.assert(
    fc.asyncProperty(fc.dictionary(names, values, { maxKeys: 4 }), async (headers) => {
      const given = { "content-type": "application/json", ...tokenOf("ann"), ...headers };
      const { status, refusal } = await post(stage.server.url + pathOf("ListUnread"), "{}", given);
      // Where the deadline passes just before another error, Connect sends that error after the gate has seen the first one.
      const isOver = Number(headers["connect-timeout-ms"]) <= 1;
      if (refusal) return isOver ? undefined : expectClean({ status, refusal });
      expect([200, 400, 415]).toContain(status);
    }),
    { numRuns: 250 },
  );
});
