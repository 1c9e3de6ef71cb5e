/** Errors of JSON requests over every protocol that takes JSON, and of calls by hand. */
import { request as httpRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { startServer, type TestServer } from "../../support/server.ts";
import { envelope, pathOf, post, postGrpc } from "./raw.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});

afterAll(async () => {
  const errors = stage.lines.filter((line) => (JSON.parse(line) as { level: number }).level >= 50);
  await stage.close();
  expect(errors).toEqual([]);
});

function headers(type: string): Record<string, string> {
  return { "content-type": type, ...(stage.as("ann") as Record<string, string>) };
}

/** The close code and reason of the bridge for frames; undefined while the socket stays open through an answered ping. */
function closeOf(server: TestServer, ...frames: string[]): Promise<{ code: number; reason: string } | undefined> {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws`, "tidings.v1.json");
  socket.on("open", () => {
    for (const frame of frames) socket.send(frame);
  });
  return new Promise((resolve) => {
    socket.on("close", (code, reason) => resolve({ code, reason: String(reason) }));
    socket.on("message", (data) => {
      if (!("caughtUp" in (JSON.parse(String(data)) as object))) return;
      resolve(undefined);
      socket.terminate();
    });
  });
}

describe.each([
  ["a misspelled name", '{"kindes":["KIND_EVENT"]}', "kindes", "BODY_INVALID", "did you mean kinds?"],
  ["an unknown enum value", '{"kinds":["EVENT"]}', "kinds[0]", "BODY_INVALID", "KIND_EVENT"],
  ["a value of the wrong type", '{"categories":[1]}', "categories[0]", "BODY_INVALID", "must be a string"],
])("JSON with %s", (_name, json, field, reason, sentence) => {
  const expected = { code: "InvalidArgument", reason, field, domain: "tidings", violations: [field] };

  test("is refused with its field over Connect, by POST and GET", async () => {
    const url = stage.server.url + pathOf("ListMessages");
    const posted = await post(url, json, headers("application/json"));
    expect(posted).toMatchObject({ status: 400, refusal: expected });
    expect(posted.refusal?.message).toContain(sentence);
    const query = `?connect=v1&encoding=json&message=${encodeURIComponent(json)}`;
    const got = await post(url + query, "", stage.as("ann") as Record<string, string>, "GET");
    expect(got).toMatchObject({ status: 400, refusal: expected });
  });

  test("is refused with its field over a Connect stream, gRPC-Web and gRPC", async () => {
    const url = stage.server.url + pathOf("Subscribe");
    const body = envelope(json);
    expect((await post(url, body, headers("application/connect+json"))).refusal).toMatchObject(expected);
    expect((await post(url, body, headers("application/grpc-web+json"))).refusal).toMatchObject(expected);
    expect((await postGrpc(url, body, headers("application/grpc+json"))).refusal).toMatchObject(expected);
  });

  test("is refused with its field over the bridge", async () => {
    const token = String((stage.as("ann") as Record<string, string>).authorization).split(" ")[1];
    const closed = await closeOf(stage.server, `{"token":"${token}","subscribe":${json}}`);
    expect(closed?.code).toBe(4003);
    expect(closed?.reason).toContain(`${reason}: subscribe.${field}: `);
  });
});

test("Many requests at once get errors of their own", async () => {
  const url = stage.server.url + pathOf("ListMessages");
  const names = Array.from({ length: 60 }, (_, index) => `wrong${index}`);
  const answers = await Promise.all(
    names.flatMap((name) => [
      post(url, JSON.stringify({ [name]: 1 }), headers("application/json")),
      postGrpc(url, envelope(JSON.stringify({ [name]: 1 })), headers("application/grpc+json")),
    ]),
  );
  names.forEach((name, index) => {
    expect(answers[2 * index]?.refusal).toMatchObject({ reason: "BODY_INVALID", field: name });
    // Over gRPC, decoding and the error are apart: another request may have taken the text. It is never blamed for it.
    const grpc = answers[2 * index + 1]?.refusal;
    expect(grpc?.reason).toBe("BODY_INVALID");
    expect([undefined, name]).toContain(grpc?.field);
  });
});

test("With ignoreUnknownFields, unknown names are ignored over Connect and the bridge", async () => {
  const server = await startServer({ ignoreUnknownFields: true });
  const token = await server.token({ tenant: "acme" });
  const body = '{"newer":{"a":1},"kinds":["KIND_NEWER"]}';
  const url = server.url + pathOf("ListMessages");
  const answer = await post(url, body, { "content-type": "application/json", authorization: `Bearer ${token}` });
  expect(answer.status).toBe(200);
  expect(await closeOf(server, `{"token":"${token}","newer":1,"subscribe":${body}}`)).toBeUndefined();
  await server.stop();
});

describe("A call by hand gets words", () => {
  test.each([
    ["without a content type", "POST", "Publish", undefined, 415, "content-type: application/json"],
    ["with curl's content type", "POST", "Publish", "application/x-www-form-urlencoded", 415, "application/json"],
    ["of a stream as unary JSON", "POST", "Subscribe", "application/json", 415, "application/connect+json"],
    ["by GET of a method with effects", "GET", "Publish", undefined, 405, "use POST"],
    ["by GET without an encoding", "GET", "ListUnread", undefined, 415, "application/json"],
  ])("%s", async (_name, method, rpc, type, status, words) => {
    const { port } = stage.server;
    const sent = { ...(stage.as("ann") as Record<string, string>), ...(type ? { "content-type": type } : {}) };
    const text = await new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
      const request = httpRequest({ port, path: pathOf(rpc), method, headers: sent }, (response) => {
        let text = "";
        response.on("data", (data) => (text += data));
        response.on("end", () => resolve({ status: response.statusCode, text }));
      });
      request.on("error", reject).end(method === "POST" ? "{}" : undefined);
    });
    expect(text.status).toBe(status);
    expect(text.text).toContain(words);
  });
});

describe("Refused with 400, and without an error in the log, is", () => {
  test("base64 that is none in the query of a GET", async () => {
    for (const encoding of ["json", "proto"]) {
      const query = `?connect=v1&encoding=${encoding}&base64=1&message=%21%21`;
      const url = stage.server.url + pathOf("ListUnread") + query;
      const answer = await post(url, "", stage.as("ann") as Record<string, string>, "GET");
      expect(answer).toMatchObject({ status: 400, refusal: { reason: "BODY_INVALID", field: "message" } });
    }
  });

  test.each(["[", "a b", "a:b:c", "%", "x:99999999"])("the Host header %s over HTTP/1.1", async (host) => {
    const socket = connect(stage.server.port, "127.0.0.1");
    const head = `POST ${pathOf("ListUnread")} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n`;
    socket.write(`${head}Content-Length: 2\r\nConnection: close\r\n\r\n{}`);
    let text = "";
    for await (const data of socket) text += data;
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("a bad authority over HTTP/2", async () => {
    const session = connectHttp2(stage.server.url);
    const stream = session.request({
      ":method": "POST",
      ":authority": "[",
      ":path": pathOf("ListUnread"),
      "content-type": "application/json",
    });
    stream.end("{}");
    const status = await new Promise((resolve) => stream.on("response", (fields) => resolve(fields[":status"])));
    session.destroy();
    expect(status).toBe(400);
  });
});
