import { once } from "node:events";
import { MessageChannel } from "node:worker_threads";
import { expect, test } from "vitest";
import { Clients } from "../../../src/adapters/sqlite/clients.ts";

test("Large bodies are handed over to the client without a copy, and the rest arrives as it was", async () => {
  const large = new Uint8Array(100_000).fill(7);
  const small = new Uint8Array(100).fill(8);
  // A message in two feeds is listed twice.
  const page = { entries: [{ body: large }, { body: large }, { body: small }], next: "" };
  const selected = [{ body: new Uint8Array(20_000).fill(9) }, null, undefined, "text"];
  const sent = structuredClone({ page, selected });
  const clients = new Clients((calls) => ({
    answers: calls.map(([id, method]) => [id, method === "batch" ? page : selected, undefined]),
    commits: [],
  }));
  const { port1: client, port2: thread } = new MessageChannel();
  clients.add(thread);
  client.postMessage([
    [1, "batch", []],
    [2, "select", []],
  ]);
  const [message] = await once(client, "message");
  expect(message.answers).toEqual([
    [1, sent.page, undefined],
    [2, sent.selected, undefined],
  ]);
  expect(large.byteLength).toBe(0);
  expect(small.byteLength).toBe(100);
  client.close();
});
