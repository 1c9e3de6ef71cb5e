import { Writable } from "node:stream";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { RoomMode } from "../../gen/tidings/v1/push_service_pb.ts";
import { serviceOf, startTestCore, type TestCore, toUser, toUsers, userOf } from "../support/core.ts";
import type { Reader } from "../support/reader.ts";
import { joins, member } from "../support/rooms.ts";
import { message } from "../support/store-messages.ts";

const ann = userOf("acme");
let node: TestCore;
let log: { level: number; messageId: string; seq: number }[];

beforeEach(async () => {
  log = [];
  const stream = new Writable({
    write(line, _encoding, done) {
      log.push(JSON.parse(String(line)));
      done();
    },
  });
  node = await startTestCore({ logger: pino({ level: "info" }, stream) });
});
afterEach(() => node.close());

/** Stores a message whose body ends in the middle of its first field, as after damage on the disk. */
async function damage(overrides: Parameters<typeof message>[1] = {}): Promise<string> {
  const append = message("acme", {
    body: Uint8Array.of(0x0a, 0xff, 0x01),
    publishTime: node.clock.now(),
    ...overrides,
  });
  await node.store.append([append]);
  return append.id;
}

/** Returns the messages and gaps that a reader got, such as `1 2 gap 2-3 4`. */
function stepsOf(reader: Reader): string {
  const steps = reader.events.map(({ case: name, value }) => {
    if (name === "message") return value.position?.seq;
    return name === "gap" ? `gap ${value.after?.seq}-${value.to?.seq}` : undefined;
  });
  return steps.filter((step) => step !== undefined).join(" ");
}

const fromStart = { positions: [{ feed: "user", epoch: 0, seq: "0" }] };

describe("A stored message that cannot be decoded", () => {
  test("is a gap of one on every stream that passes it, and the stream goes on", async () => {
    await node.publishMany("acme", toUser("ann"), 2);
    const ids = [await damage(), await damage()];
    await node.publish("acme", toUser("ann"));
    const readers = [node.subscribe(ann, fromStart), node.subscribe(ann, fromStart)];
    for (const reader of readers) await reader.first("caughtUp");
    await node.publish("acme", toUser("ann"));
    for (const reader of readers) {
      await reader.until(({ messages }) => messages.length === 4);
      expect(stepsOf(reader)).toBe("1 2 gap 2-3 gap 3-4 5 6");
    }
    expect(log.map(({ level, messageId, seq }) => ({ level, messageId, seq }))).toEqual([
      { level: 50, messageId: ids[0], seq: 3 },
      { level: 50, messageId: ids[1], seq: 4 },
    ]);
  });

  test("does not end the replay where it is the last of a page, or all of a page", async () => {
    await node.publishMany("acme", toUser("ann"), 63);
    for (let count = 0; count < 70; count++) await damage();
    await node.publish("acme", toUser("ann"));
    const reader = node.subscribe(ann, fromStart);
    await reader.first("caughtUp");
    expect(reader.messages.map(({ position }) => position?.seq)).toEqual([
      ...Array.from({ length: 63 }, (_, index) => `${index + 1}`),
      "134",
    ]);
    expect(reader.all("gap").map(({ to }) => to?.seq)).toEqual(
      Array.from({ length: 70 }, (_, index) => `${64 + index}`),
    );
  });

  test("is left out of lists, whose other pages stay as they are", async () => {
    for (let round = 0; round < 5; round++) {
      await node.publish("acme", toUser("ann"), { title: `${round}` });
      await damage();
      await node.pass(1);
    }
    for (const list of [
      (pageToken: string) => node.unread(ann, { pageSize: 2, pageToken }),
      (pageToken: string) => node.messages(ann, { pageSize: 2, pageToken }),
    ]) {
      const titles: string[] = [];
      for (let pageToken = ""; ; ) {
        const page = await list(pageToken);
        titles.push(...page.messages.map(({ title }) => title));
        pageToken = page.nextPageToken;
        if (pageToken === "") break;
      }
      expect(titles).toEqual(["4", "3", "2", "1", "0"]);
    }
    expect(log).toHaveLength(5);
  });

  test("hides no message behind it where a page ends at 1 MiB", async () => {
    const payload = { case: "binary", value: new Uint8Array(60_000) } as const;
    for (let round = 0; round < 30; round++) {
      await damage({ batchId: "b" });
      await node.publish("acme", toUser("ann"), { title: `${round}`, batchId: "b", payload });
      await damage({ batchId: "b" });
      await node.pass(1);
    }
    const newestFirst = Array.from({ length: 30 }, (_, index) => `${29 - index}`);
    for (const list of [
      (pageToken: string) => node.messages(ann, { pageSize: 100, pageToken }),
      (pageToken: string) => node.messages(serviceOf("acme"), { batchId: "b", pageSize: 100, pageToken }),
    ]) {
      const titles: string[] = [];
      let pages = 0;
      for (let pageToken = ""; ; ) {
        const page = await list(pageToken);
        pages++;
        titles.push(...page.messages.map(({ title }) => title));
        pageToken = page.nextPageToken;
        if (pageToken === "") break;
      }
      expect(titles).toEqual(newestFirst);
      expect(pages).toBe(2);
    }
  });

  test("is left out of the list of its batch", async () => {
    await node.publish("acme", toUsers("ann", "bob"), { title: "whole", batchId: "b" });
    await damage({ batchId: "b", feeds: ["user/ann", "tenant"] });
    const { messages } = await node.messages(serviceOf("acme"), { batchId: "b" });
    expect(messages.map(({ title, receiverId }) => `${title} ${receiverId}`).sort()).toEqual([
      "whole ann",
      "whole bob",
    ]);
  });

  test("is left out of the events that a room has kept", async () => {
    const event = { kind: Kind.EVENT, event: "e", ttl: durationFromMs(60_000) };
    const room = { case: "roomId", value: "a" } as const;
    await node.publish("acme", room, { ...event, title: "first" });
    await damage({ feeds: ["room/a"], kind: Kind.EVENT });
    await node.publish("acme", room, { ...event, title: "last" });
    const reader = node.subscribe(member("ann", ["a"]), joins(RoomMode.ANY, "a"));
    await reader.first("caughtUp");
    expect(reader.messages.map(({ title }) => title)).toEqual(["first", "last"]);
  });
});
