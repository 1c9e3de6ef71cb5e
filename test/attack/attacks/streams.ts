/** Attacks by streams, rooms and what users publish to them. */
import { type Attack, user } from "../attack.ts";
import { callAndCount } from "../wire/call.ts";
import { repeat } from "../wire/loops.ts";
import { openStream } from "../wire/stream.ts";

/** Names that no user or room has had before. */
const invented = (what: string, count: number) => Array.from({ length: count }, (_, index) => `${what}${index}`);

const ringStreams = 25;
const ringRooms = (stream: number) => invented(`dm/mallory/ring-${stream}-`, 100);

/** The attacks of users with streams. */
export const streamAttacks: readonly Attack[] = [
  {
    name: "one user who opens and closes streams without end",
    async run(attacker) {
      const token = await user("opener");
      await repeat(attacker, 60, async () => {
        const stream = await openStream(attacker, token);
        if (stream === undefined) return;
        attacker.answers.add("stream opened");
        stream.socket.terminate();
      });
    },
    must: ["stream opened", "TOO_MANY_NEW_STREAMS, retry"],
    may: ["TOO_MANY_STREAMS"],
  },
  {
    name: "1,000 rooms that a user joins and leaves without end",
    async run(attacker) {
      const token = await user("roamer", { rooms: ["**"] });
      await repeat(attacker, 10, async (loop) => {
        const rooms = invented(`room-${loop}-`, 100).map((roomId) => ({ roomId }));
        const stream = await openStream(attacker, token, { rooms });
        if (stream === undefined) return;
        attacker.answers.add("stream opened");
        stream.socket.terminate();
      });
    },
    must: ["stream opened"],
    may: ["TOO_MANY_NEW_STREAMS, retry", "TOO_MANY_STREAMS"],
  },
  {
    name: "25 streams in 100 invented direct rooms each, with messages of 64 KB",
    async prepare(attacker) {
      const token = await user("mallory");
      const open = (stream: number) =>
        openStream(attacker, token, { rooms: ringRooms(stream).map((roomId) => ({ roomId })) });
      await Promise.all(Array.from({ length: ringStreams }, (_, stream) => open(stream)));
    },
    async run(attacker) {
      const token = await user("mallory");
      const content = "x".repeat(64_000);
      const rooms = Array.from({ length: ringStreams }, (_, stream) => ringRooms(stream)).flat();
      let next = 0;
      await repeat(attacker, 4, async () => {
        const body = { audience: { roomId: rooms[next++ % rooms.length] }, message: { kind: "KIND_EVENT", content } };
        await callAndCount(attacker, { method: "Publish", body, token });
      });
    },
    must: ["status 200"],
    may: ["RATE_LIMITED, retry"],
  },
  {
    name: "messages of one user under invented categories, to ids that never existed",
    async run(attacker) {
      const token = await user("mallory");
      let number = 0;
      await repeat(attacker, 4, async () => {
        const roomId = `dm/mallory/nobody-${number++}`;
        const message = { kind: 1, title: "x", category: `invented-${number}` };
        await callAndCount(attacker, { method: "Publish", body: { audience: { roomId }, message }, token });
      });
      const { helloBytes = 0 } = (await openStream(attacker, token)) ?? {};
      attacker.answers.add(helloBytes < 40_000 ? "a short hello" : `a hello of ${helloBytes} bytes`);
    },
    must: ["status 200", "a short hello"],
    may: ["RATE_LIMITED, retry"],
  },
];
