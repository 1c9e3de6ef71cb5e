/** The log under a hostile caller, who must neither write text of their own into it nor break a line. */
import { connect } from "node:net";
import { fromJson } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PublishBatchRequestSchema, PublishRequestSchema, PushService } from "../../../src/gen.ts";
import { secret } from "../../support/token.ts";
import { pathOf, post } from "./raw.ts";
import { rows } from "./requests.ts";
import { openStage, type Stage } from "./stage.ts";
import { methods, protocolsOf, refusalOf } from "./wire.ts";

let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});

afterAll(() => stage.close());

/** Ends the line, colours the terminal, overwrites text, and forges another line, if it is logged as it is. */
const evil = 'x\r\n\u001b[31m\u0007\u0008\u2028{"level":60,"msg":"forged"}\n';
const canary = "canary-4f1c";
const nasty = `${canary}${evil}`;

/** Sends the text in every field and header that a caller can set. */
async function attack(): Promise<void> {
  const message = {
    kind: "KIND_NOTIFICATION",
    title: nasty,
    content: nasty,
    actor: { name: nasty },
    json: { [nasty]: nasty },
  };
  const good = fromJson(PublishRequestSchema, { audience: { userId: "ann" }, message });
  const ids = {
    audience: { userId: nasty },
    message: { ...message, category: nasty, event: nasty },
    requestId: nasty,
    tenantId: nasty,
  };
  for (const [, transport] of protocolsOf(stage.server.url)) {
    const client = createClient(PushService, transport);
    await client.publish(good, { headers: stage.as("service") });
    await client.publishBatch(fromJson(PublishBatchRequestSchema, { requests: [ids] }), {
      headers: stage.as("service"),
    });
    await refusalOf(transport, "Publish", ids, stage.as("service"));
    await refusalOf(transport, "ListMessages", { pageToken: nasty, actorId: nasty, tenantId: nasty }, stage.as("ann"));
    await refusalOf(transport, "Subscribe", { positions: [{ feed: nasty }], instanceId: nasty }, stage.as("ann"));
    await refusalOf(transport, "DeleteMessages", { ids: { messageIds: [nasty] }, category: nasty }, stage.as("ann"));
    await refusalOf(transport, "Disconnect", { userId: nasty, reason: nasty }, stage.as("service"));
    for (const name of methods.keys()) {
      await refusalOf(transport, name, {}, { authorization: `Bearer ${canary}`, "x-request-id": `${canary}\u00e9{}` });
    }
  }
  for (const body of [
    `{"${canary}`,
    `{"message":{"title":${canary}}}`,
    `{"message":{"kind":"${canary}","title":["${canary}"]}}`,
  ]) {
    await post(`${stage.server.url}${pathOf("Publish")}`, body, {
      "content-type": "application/json",
      ...(stage.as("service") as Record<string, string>),
    });
  }
  await post(`${stage.server.url}/%0d%0a%1b[31m${canary}?token=${canary}`, "", { "user-agent": canary });
  await sendRaw(`GET /${canary}\u001b[31m HTTP/1.1\r\nHost: x\r\nX-Evil: ${evil}\r\n\r\n`);
  await sendRaw(`${nasty}${nasty}\r\n\r\n`);
}

/** Writes raw bytes to the port, and waits until the connection ends. */
function sendRaw(text: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(stage.server.port, "127.0.0.1", () => socket.end(text));
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    socket.resume();
  });
}

test("Each entry of the log is one line of plain JSON, without the text of callers and without secrets", async () => {
  await attack();
  for (const { as, method, request } of rows) {
    const [, transport] = protocolsOf(stage.server.url)[0] ?? [];
    const message = typeof request === "function" ? request(stage.known) : request;
    if (transport) await refusalOf(transport, method, message, stage.as(as));
  }
  expect(stage.lines.length).toBeGreaterThan(100);
  const bearers = (["ann", "service"] as const).map(
    (name) => Object.values(stage.as(name))[0]?.replace("Bearer ", "") ?? "",
  );
  for (const line of stage.lines) {
    expect.soft(line.endsWith("\n") && !line.slice(0, -1).includes("\n"), line).toBe(true);
    expect.soft(line.slice(0, -1), line).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
    expect.soft(() => JSON.parse(line) as unknown).not.toThrow();
    for (const text of [canary, "forged", "never to be seen", secret, ...bearers])
      expect.soft(line).not.toContain(text);
  }
});

test("The log has the request id that a caller chose, unless it is malformed", async () => {
  const url = `${stage.server.url}${pathOf("ListUnread")}`;
  const headers = { "content-type": "application/json", ...(stage.as("ann") as Record<string, string>) };
  const named = await fetch(url, { method: "POST", body: "{}", headers: { ...headers, "x-request-id": "mine:1" } });
  expect(named.headers.get("x-request-id")).toBe("mine:1");
  expect(stage.lines.some((line) => line.includes('"requestId":"mine:1"'))).toBe(true);
  for (const bad of ["a b", "x".repeat(65), '"}', ""]) {
    const answer = await fetch(url, { method: "POST", body: "{}", headers: { ...headers, "x-request-id": bad } });
    expect.soft(answer.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  }
});
