/** The events of newer servers, and large and divided messages. */
import { create, toBinary, toJson } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { type Message, MessageSchema } from "../../../../gen/tidings/v1/message_pb.ts";
import { SubscribeResponseSchema } from "../../../../gen/tidings/v1/push_service_pb.ts";
import { at, note, notes } from "../calls.ts";
import type { RawMessage } from "../form.ts";
import { Failed, type Scenario } from "../stage.ts";
import { goLive } from "./connection.ts";
import { requireSeq } from "./positions.ts";

/** The number of a field that the contract does not have. */
const unknownField = 1_001;

/** An unknown field that holds a message with a text. */
function unknownBytes(): Uint8Array {
  const text = new BinaryWriter().tag(1, 2).string("from a newer server").finish();
  return new BinaryWriter().tag(unknownField, 2).bytes(text).finish();
}

/** An event that no client knows. */
const unknownEvent: RawMessage = { json: '{"weather":{"text":"from a newer server"}}', binary: unknownBytes() };

/** An event with a message that has an unknown field, and an unknown field beside it. */
function withUnknownFields(message: Message): RawMessage {
  const json = toJson(MessageSchema, message) as object;
  const inner = Buffer.concat([toBinary(MessageSchema, message), unknownBytes()]);
  const event = new BinaryWriter().tag(SubscribeResponseSchema.field.message.number, 2).bytes(inner).finish();
  return {
    json: JSON.stringify({ message: { ...json, weather: { text: "from a newer server" } }, mood: "sunny" }),
    binary: Buffer.concat([event, unknownBytes()]),
  };
}

const unknown: Scenario = {
  name: "unknown-events",
  group: "subscriber",
  rule: 14,
  sentence: "Unknown events and unknown fields are ignored: the stream goes on, on the same connection.",
  async run(stage) {
    const stream = await goLive(stage);
    await stream.messages(note(1));
    await stream.sendRaw(unknownEvent);
    await stream.sendRaw(withUnknownFields(note(2)));
    // An enum value and an event without content of a newer contract.
    await stream.sendRaw({
      json: '{"room":{"roomId":"r","status":"STATUS_UNSPECIFIED"}}',
      binary: Buffer.from([0x3a, 0]),
    });
    await stream.sendRaw({ json: "{}", binary: Buffer.alloc(0) });
    await stream.messages(note(3));
    await stage.messages(["user-1-1", "user-1-2", "user-1-3"], "the messages around the unknown events");
    stage.require(stream.goneAt === undefined, "the stream was expected to stay open; the client dropped it");
    const [error] = stage.lines("error");
    if (error !== undefined) throw new Failed(`no error was expected for unknown events; it was ${error.code}`);
  },
};

const fidelity: Scenario = {
  name: "message-fields",
  group: "subscriber",
  rule: 14,
  sentence: "The application gets every field of a message as it was sent.",
  async run(stage) {
    const stream = await goLive(stage);
    const message = note(0, "user", 1, {
      // No double holds this seq.
      position: { feed: "user", epoch: 4_294_967_295, seq: "9007199254740993" },
      title: "Grüße, 世界 🎉",
      content: 'quotes " and \\ and\nlines',
      category: "constructor",
      payload: { case: "binary", value: new Uint8Array([0, 1, 254, 255]) },
      contentType: "application/octet-stream",
      actor: { id: "bob", name: "Bob" },
    });
    await stream.messages(message);
    const line = await stage.line("message", "the message");
    const seen = line.message as Record<string, unknown>;
    const expected = toJson(MessageSchema, message) as Record<string, unknown>;
    for (const [name, value] of Object.entries(expected)) {
      const same = JSON.stringify(seen[name]) === JSON.stringify(value);
      if (!same)
        throw new Failed(`${name} ${JSON.stringify(value)} was expected; it was ${JSON.stringify(seen[name])}`);
    }
  },
};

const largeMessage: Scenario = {
  name: "large-message",
  group: "subscriber",
  rule: 15,
  sentence: "A message of more than 4 MiB arrives: the limit is 16 MiB.",
  async run(stage) {
    const stream = await goLive(stage);
    const content = "x".repeat(6 * 1024 * 1024);
    await stream.messages(create(MessageSchema, { ...note(1), content }), note(2));
    await stage.messages(["user-1-1", "user-1-2"], "a message of 6 MiB, and one after it");
    const [line] = stage.lines("message");
    const seen = String((line?.message as { content?: unknown } | undefined)?.content).length;
    stage.require(seen === content.length, `${content.length} characters were expected; there were ${seen}`);
    stage.require(stream.goneAt === undefined, "the stream was expected to stay open; the client dropped it");
  },
};

const pieces: Scenario = {
  name: "pieces",
  group: "subscriber",
  rule: 15,
  sentence: "Events arrive whole, however the network cuts them: byte by byte, and many at once.",
  async run(stage) {
    const stream = await goLive(stage);
    const title = "Grüße, 世界 🎉";
    await stream.pieces({ case: "message", value: note(1, "user", 1, { title }) }, 1);
    await stream.pieces({ case: "message", value: note(2, "user", 1, { title }) }, 7);
    await stream.messages(...notes(3, 200));
    const ids = notes(1, 200).map(({ id }) => id);
    await stage.messages(ids, "all 200 messages, once and in order");
    const seen = stage.lines("message").map(({ message }) => (message as { title?: unknown }).title);
    stage.require(
      seen[0] === title && seen[1] === title,
      `the title ${title} was expected twice; it was ${seen.slice(0, 2)}`,
    );
    stage.require(stream.goneAt === undefined, "the stream was expected to stay open; the client dropped it");
  },
};

const backpressure: Scenario = {
  name: "backpressure",
  group: "subscriber",
  rule: 13,
  sentence: "An application that takes nothing for a while gets every message once and in order when it goes on.",
  async run(stage) {
    const count = 6_000;
    const body = "x".repeat(1_000);
    const first = await goLive(stage);
    stage.program.pause();
    // As a server does: each stream gets what follows its position, until it is dropped.
    let stream = first;
    let sent = 0;
    const isDone = () => stage.messageIds.length >= count;
    const send = async () => {
      while (sent < count && stream.goneAt === undefined) {
        const batch = Array.from({ length: Math.min(100, count - sent) }, (_, i) =>
          note(sent + 1 + i, "user", 1, { content: body }),
        );
        sent += batch.length;
        await stream.messages(...batch);
      }
    };
    let sending = send();
    await stage.pass(1_500);
    stage.program.resume();
    while (!isDone()) {
      const next = await stage.until(() => (isDone() ? null : stage.server.takeStream()), "all messages", 60_000);
      if (next === null) break;
      await sending;
      stream = next;
      sent = stream.seqOf("user") ?? 0;
      await stream.hello({ positions: [at("user", sent)] });
      sending = send();
    }
    const seen = stage.messageIds;
    const wrong = seen.findIndex((id, index) => id !== `user-1-${index + 1}`);
    stage.require(wrong < 0, `all ${count} messages in order were expected; message ${wrong + 1} was ${seen[wrong]}`);
    stream.reset();
    requireSeq(await stage.stream(), "user", count, "after all messages");
  },
};

/** The scenarios of this file. */
export const formScenarios: readonly Scenario[] = [unknown, fidelity, largeMessage, pieces, backpressure];
