import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PushService } from "../../../src/gen.ts";
import { openStage, type Stage } from "./stage.ts";
import { protocolsOf } from "./wire.ts";

let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});

afterAll(() => stage.close());

/** Well-formed ids that do not exist. */
const missing = Array.from({ length: 5 }, (_, index) => `01890a5d-ac96-774b-bcce-b302099a805${index}`);

/** The whole response as text, without its time. */
function text(answer: unknown): string {
  return JSON.stringify(answer, (_key, value: unknown) => (typeof value === "bigint" ? `${value}` : value));
}

test("The ids of a user of the same name in another tenant are like ids that do not exist", async () => {
  const before = await stage.snapshot();
  for (const [protocol, transport] of protocolsOf(stage.server.url)) {
    const client = createClient(PushService, transport);
    const headers = stage.as("ann");
    const foreign = [...stage.known.strangersIds];
    const answers = async (messageIds: string[]) => ({
      read: await client.markRead({ target: { case: "ids", value: { messageIds } } }, { headers }),
      unread: await client.markRead({ target: { case: "ids", value: { messageIds } }, unread: true }, { headers }),
      deleted: await client.deleteMessages({ ids: { messageIds } }, { headers }),
      expired: await client.deleteMessages({ ids: { messageIds }, expiredOnly: true }, { headers }),
      recalled: await client.deleteMessages({ ids: { messageIds }, recall: true }, { headers: stage.as("service") }),
    });
    expect.soft(text(await answers(foreign)), protocol).toBe(text(await answers(missing)));
    expect.soft((await answers(foreign)).recalled.deleted, protocol).toBe(0);
    expect(await stage.snapshot()).toBe(before);
  }
});

test("A service of one tenant sees and counts nothing of another tenant", async () => {
  const [, transport] = protocolsOf(stage.server.url)[1] ?? [];
  if (!transport) throw new Error("no transport");
  const client = createClient(PushService, transport);
  const ending = new AbortController();
  const stream = client.subscribe({}, { headers: stage.as("stranger"), signal: ending.signal })[Symbol.asyncIterator]();
  await stream.next();
  const scope = { case: "users" as const, value: { userIds: ["ann"] } };
  expect(await client.onlineCount({ scope }, { headers: stage.as("rivalService") })).toMatchObject({
    users: 1,
    connections: 1,
  });
  expect(await client.onlineCount({ scope }, { headers: stage.as("service") })).toMatchObject({
    users: 0,
    connections: 0,
  });
  const { messages } = await client.listMessages({ actorId: "", pageSize: 100 }, { headers: stage.as("service") });
  const theirs = await client.listMessages({ pageSize: 100 }, { headers: stage.as("rivalService") });
  const ids = new Set(messages.map(({ id }) => id));
  expect(theirs.messages.filter(({ id }) => ids.has(id))).toEqual([]);
  ending.abort();
});
