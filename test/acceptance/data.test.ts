/** The contents of a message arrive as they were published. */
import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Message } from "../../gen/tidings/v1/message_pb.ts";
import { RoomMode } from "../../gen/tidings/v1/push_service_pb.ts";
import { badUrls, goodUrls } from "../support/urls.ts";
import { event, json, note, toRoom, toUser } from "./audiences.ts";
import { type CallWay, refusal, Stage, type Way, ways } from "./stage.ts";

const everyCall: readonly CallWay[] = ["connect", "connect-json", "grpc", "grpc-web"];
const everyWay: readonly Way[] = [...everyCall, "ws"];

describe("The contents of a message", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  });
  afterEach(() => stage.leave());
  afterAll(() => stage.close());

  test("row 28: text is delivered byte for byte, and a link that runs a script is refused with the name of its field", async () => {
    const attack = "<img src=x onerror=\"alert('1')\"> & &amp;\n &lt;b&gt;";
    const page = await stage.page("ann", { over: "ws" });
    await stage.publish(toUser("ann"), note(attack, { content: attack, actor: { id: "eve", name: attack } }));
    await page.has(1);
    const { messages } = await stage.user("ann").listUnread({});
    for (const { title, content, actor } of [...page.messages, ...messages]) {
      expect([title, content, actor?.name]).toEqual([attack, attack, attack]);
    }
    const asUrl = (url: string) => ({ audience: toUser("bob"), message: note("click", { url }) });
    const asPortrait = (avatarUrl: string) => ({
      audience: toUser("bob"),
      message: note("see", { actor: { avatarUrl } }),
    });
    for (const [make, field] of [
      [asUrl, "message.url"],
      [asPortrait, "message.actor.avatar_url"],
    ] as const) {
      const { outcomes } = await stage.service().publishBatch({ requests: [...badUrls, ...goodUrls].map(make) });
      for (const { result } of outcomes.slice(0, badUrls.length)) {
        expect(result.value).toMatchObject({ reason: "FIELD_INVALID", message: expect.stringContaining(field) });
      }
      expect(outcomes.slice(badUrls.length).map(({ result }) => result.case)).toEqual(goodUrls.map(() => "ok"));
    }
  });

  test("row 32: a message without a sender has none, and custom fields travel with a message", async () => {
    const page = await stage.page("ann");
    await stage.publish(toUser("ann"), note("anonymous", { payload: json({ priority: 5 }) }));
    await page.has(1);
    const { messages } = await stage.user("ann").listUnread({});
    for (const message of [...page.messages, ...messages]) {
      expect(message.actor).toBeUndefined();
      expect(message.payload).toMatchObject(json({ priority: 5 }));
    }
  });

  test("row 41: data is passed through unchanged: nested, null, Unicode and bytes, up to 64 KiB and no more", async () => {
    const values: JsonValue[] = [
      null,
      false,
      0,
      -1.5e300,
      "",
      "你好😀\u0000\u2028",
      [],
      {},
      { a: [{ b: [null, { ключ: "значение" }] }], "": "empty key", __proto__x: 1 },
      "x".repeat(65_000),
    ];
    const pages = await Promise.all(ways.map((over) => stage.page("ann", { over })));
    for (const value of values) await stage.publish(toUser("ann"), note("data", { payload: json(value) }));
    const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const binary = { contentType: "image/x-own", payload: { case: "binary", value: bytes } } as const;
    await stage.publish(toUser("ann"), note("bytes", binary));
    const { messages } = await stage.user("ann").listUnread({ pageSize: 100 });
    const lists: Message[][] = [messages.reverse()];
    for (const page of pages) lists.push((await page.has(values.length + 1)).messages);
    for (const list of lists) {
      expect(list.map(({ payload }) => payload.case === "json" && toJson(ValueSchema, payload.value))).toEqual([
        ...values,
        false,
      ]);
      const { contentType, payload } = list.at(-1) as Message;
      expect([contentType, [...(payload.value as Uint8Array)]]).toEqual(["image/x-own", [...bytes]]);
    }
    const tooMuch = stage.publish(toUser("ann"), note("more", { content: "x".repeat(65_537) }));
    await expect(tooMuch).rejects.toThrow(/65537 bytes.*65536/);
    expect(await refusal(stage.publish(toUser("ann"), note("more", { content: "x".repeat(65_537) })))).toBe(
      "resource_exhausted MESSAGE_TOO_LARGE",
    );
  });

  test("row 49: Chinese and emoji in titles, rooms, events and users are the same bytes over every protocol", async () => {
    const text = "你好😀";
    const claims = { rooms: ["**"], publish: ["**"] };
    const pages = await Promise.all(
      everyWay.map((over) => stage.page(text, { ...claims, over, join: { [`聊天/${text}`]: RoomMode.ANY } })),
    );
    for (const over of everyCall) {
      const message = event(`事件${text}`, {
        title: `${text} by ${over}`,
        category: text,
        payload: json({ [text]: text }),
      });
      await stage.user(text, claims, over).publish({ audience: toRoom(`聊天/${text}`), message });
    }
    for (const page of pages) {
      await page.has(everyCall.length);
      expect(page.messages).toMatchObject(
        everyCall.map((over) => ({
          title: `${text} by ${over}`,
          event: `事件${text}`,
          category: text,
          roomId: `聊天/${text}`,
          actor: { id: text },
          payload: json({ [text]: text }),
        })),
      );
    }
  });
});
