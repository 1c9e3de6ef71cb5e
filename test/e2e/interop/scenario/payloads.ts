import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { expect, type TestContext, test } from "vitest";
import type { Message } from "../../../../gen/tidings/v1/message_pb.ts";
import { PushService } from "../../../../gen/tidings/v1/push_service_pb.ts";
import { type DraftInit, meet, note, type Stage, toUser } from "./people.ts";

const { publish, listUnread } = PushService.method;
/** Wide characters, a joined emoji, a line separator of JavaScript, and characters that HTML and JSON escape. */
const text = '系统通知：任务「发布」已完成 🎉👩🏽‍💻 née Ωmega \u2028 \ttab\n "quotes" <b>&amp;</b> \\';

/** Registers the tests that content and payloads arrive unchanged, live and from the store. */
export function payloads(stage: Stage): void {
  /** Publishes a draft, and returns the message of the stream and that of the list. */
  async function carry(draft: DraftInit, context: TestContext): Promise<Message[]> {
    const { ann, backend } = await meet(stage, context);
    const stream = await ann.live();
    await backend.call(publish, { audience: toUser("ann"), message: draft });
    const live = await stream.expect("message");
    const { messages } = await ann.call(listUnread, {});
    expect(messages).toHaveLength(1);
    return [live, ...messages];
  }

  test("carries text of all scripts byte for byte", async (context) => {
    const draft = note(text, {
      content: text.repeat(20),
      category: "系统",
      event: "任务.完成",
      url: "/任务/1?q=好#a",
      batchId: "批-1",
      actor: { id: "小明", name: "小明 😀", avatarUrl: "https://例え.jp/😀.png" },
      object: { type: "任务", id: "№1" },
    });
    for (const message of await carry(draft, context)) expect(message).toMatchObject(draft);
  });

  test("carries every byte of a binary payload", async (context) => {
    const value = Uint8Array.from({ length: 512 }, (_, index) => index % 256);
    const payload = { case: "binary", value } as const;
    const contentType = "application/octet-stream";
    const carried = await carry(note("bytes", { payload, contentType }), context);
    for (const message of carried) expect(message).toMatchObject({ payload, contentType });
  });

  const values: [string, JsonValue][] = [
    ["null", null],
    ["a number", -1.5e300],
    ["an empty object", {}],
    ["nested values", { null: null, 键: ["😀", true, [], { deep: { er: [0, null, false, ""] } }], "": "no name" }],
  ];
  test.for(values)("carries a JSON payload: %s", async ([, json], context) => {
    const payload = { case: "json", value: fromJson(ValueSchema, json) } as const;
    for (const message of await carry(note("json", { payload }), context)) {
      if (message.payload.case !== "json") expect.fail(`the payload is ${message.payload.case}`);
      expect(toJson(ValueSchema, message.payload.value)).toEqual(json);
    }
  });
}
