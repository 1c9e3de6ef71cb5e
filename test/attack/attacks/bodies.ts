/** Attacks by bodies: their size, their compression, and what they contain. */
import { setTimeout as sleep } from "node:timers/promises";
import { constants, gzipSync } from "node:zlib";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Attack, service, user } from "../attack.ts";
import { size } from "../size.ts";
import { call, callAndCount, mustCall } from "../wire/call.ts";
import { repeat } from "../wire/loops.ts";
import { final, opcodes, openWebSocket, webSocketFrame, webSocketOutcome } from "../wire/web-socket.ts";

type Bytes = Uint8Array<ArrayBuffer>;

function message(write: (writer: BinaryWriter) => void): Bytes {
  const writer = new BinaryWriter();
  write(writer);
  return new Uint8Array(writer.finish());
}

function field(writer: BinaryWriter, number: number, bytes: Uint8Array): void {
  writer.tag(number, WireType.LengthDelimited).bytes(bytes);
}

/** A batch in Protobuf of `requests` publishes to 8,800 users each: a small body, and many entries. */
function wideBatch(requests: number): Bytes {
  const ids: string[] = [];
  for (let first = 33; first < 127; first++)
    for (let second = 33; second < 127 && ids.length < 8_800; second++) ids.push(String.fromCharCode(first, second));
  const users = message((writer) => {
    for (const id of ids) writer.tag(1, WireType.LengthDelimited).string(id);
  });
  const publish = message((writer) => {
    field(
      writer,
      2,
      message((audience) => field(audience, 2, users)),
    );
    field(
      writer,
      3,
      message((draft) => draft.tag(1, WireType.Varint).int32(1).tag(3, WireType.LengthDelimited).string("x")),
    );
  });
  return message((writer) => {
    for (let count = 0; count < requests; count++) field(writer, 1, publish);
  });
}

/** A publish in Protobuf to a direct room, whose actor has an unknown field of 2.9 MB. */
const hiddenBytes = message((writer) => {
  const room = message((audience) => audience.tag(3, WireType.LengthDelimited).string("dm/ada/mallory"));
  const actor = message((inner) => field(inner, 1_000, new Uint8Array(2_900_000)));
  field(writer, 2, room);
  field(
    writer,
    3,
    message((draft) => {
      draft.tag(1, WireType.Varint).int32(1).tag(3, WireType.LengthDelimited).string("small");
      field(draft, 6, actor);
    }),
  );
});

/** JSON texts of payloads that no stream could encode, or that are deeper than the limit. */
const poison = [
  "1e400",
  "-1e400",
  '[{"a":1e999}]',
  "9007199254740993",
  '"\\ud800"',
  `${"[".repeat(5_000)}${"]".repeat(5_000)}`,
];

/** The attacks by bodies. */
export const bodyAttacks: readonly Attack[] = [
  {
    name: "batches of 2 MB that would become half a million inbox entries each",
    healthyTenant: "other",
    async run(attacker) {
      const token = await service();
      const body = wideBatch(60);
      // Decoding takes the time of the node before anything can be counted; services are trusted not to loop.
      await repeat(attacker, 1, async () => {
        await callAndCount(attacker, { method: "PublishBatch", body, token });
        await sleep(1_000);
      });
    },
    must: ["REQUEST_TOO_LARGE"],
  },
  {
    name: "unknown Protobuf fields of 2.9 MB inside a small message",
    async run(attacker) {
      const token = await user("mallory");
      for (let sent = 0; sent < 10; sent++)
        await callAndCount(attacker, { method: "Publish", body: hiddenBytes, token });
      const { bytes } = await mustCall(attacker, {
        method: "ListUnread",
        body: { pageSize: 100 },
        token: await user("ada"),
      });
      attacker.answers.add(bytes < 20_000 ? "a short list" : `a list of ${bytes} bytes`);
    },
    must: ["status 200", "a short list"],
  },
  {
    name: "payloads that cannot be encoded, and deep ones",
    async run(attacker) {
      const token = await user("mallory");
      await repeat(attacker, 2, async () => {
        for (const json of poison) {
          const body = `{"audience":{"roomId":"dm/healthy-ws/mallory"},"message":{"kind":"KIND_NOTIFICATION","json":${json}}}`;
          await callAndCount(attacker, { method: "Publish", body, token });
        }
      });
    },
    must: ["FIELD_INVALID"],
    may: ["BODY_INVALID"],
  },
  {
    name: "lists of text that JSON writes six times as long",
    async prepare(attacker) {
      const content = "\u0001".repeat(65_000);
      const token = await user("mallory");
      for (let sent = 0; sent < 60; sent++) {
        const body = { audience: { roomId: "dm/ada/mallory" }, message: { kind: 1, content } };
        await mustCall(attacker, { method: "Publish", body, token });
      }
    },
    async run(attacker) {
      const token = await user("ada");
      await repeat(attacker, 2, async () => {
        const answer = await call(attacker, { method: "ListUnread", body: { pageSize: 100 }, token });
        attacker.answers.add(answer.bytes < 1.2 * 1024 ** 2 ? `status ${answer.status}` : `${answer.bytes} bytes`);
      });
    },
    must: ["status 200"],
  },
  {
    name: "gzip bodies that decompress to 512 MB",
    async run(attacker) {
      const token = await user("mallory");
      const bomb = gzipSync(Buffer.alloc(size(64, 512) * 1024 ** 2, 32), { level: constants.Z_BEST_COMPRESSION });
      const headers = { "content-type": "application/json", "content-encoding": "gzip" };
      await repeat(attacker, 4, () =>
        callAndCount(attacker, { method: "Publish", body: new Uint8Array(bomb), token, headers }),
      );
    },
    must: ["REQUEST_TOO_LARGE"],
  },
  {
    name: "compressed WebSocket frames, which are not negotiated",
    async run(attacker) {
      await repeat(attacker, 4, async () => {
        const socket = await openWebSocket(attacker, "permessage-deflate");
        const done = webSocketOutcome(attacker, socket);
        socket.write(webSocketFrame(0x40 | final(opcodes.text), Buffer.alloc(60_000)));
        await done;
      });
    },
    must: ["WebSocket closed with 1002"],
    may: ["WebSocket still open"],
  },
];
