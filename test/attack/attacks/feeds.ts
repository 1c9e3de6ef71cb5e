/** Attacks by readers of feeds over plain HTTP. */
import { type Attack, type Attacker, user } from "../attack.ts";
import { callAndCount, count, refusalOf } from "../wire/call.ts";
import { repeat } from "../wire/loops.ts";
import { openTcp } from "../wire/tcp.ts";

/** Reads a feed and counts the answer; the end of the attack ends it, too. */
async function read({ url, signal, answers }: Attacker, path: string, headers: Record<string, string>): Promise<void> {
  const response = await fetch(`${url}/stream/${path}`, { headers, signal }).catch(() => undefined);
  const text = await response?.text().catch(() => undefined);
  if (signal.aborted) return;
  if (response === undefined || text === undefined) return count(answers, undefined);
  const json = text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : {};
  count(answers, { status: response.status, ...refusalOf(json), json, bytes: text.length });
}

/** Offsets, rooms, queries and headers that make no sense, or are as large as they may be. */
const nonsense: readonly (readonly [path: string, headers?: Record<string, string>])[] = [
  ["user?offset=4294967295_9007199254740991"],
  ["user?offset=9999999999_9999999999999999"],
  [`user?offset=${"9".repeat(8_000)}`],
  [`user?${"offset=-1&".repeat(800)}`],
  [`user?${"categories=x&".repeat(700)}`],
  [`user?live=sse&offset=now`, { "last-event-id": "x".repeat(4_000) }],
  [`user`, { "if-none-match": '"",'.repeat(2_000) }],
  [`user`, { "if-none-match": `${'"'.repeat(7_999)}` }],
  [`user`, { cookie: "a=b;".repeat(2_000) }],
  [`room/${"%F0%9F%92%A9".repeat(600)}`],
  [`room/${"%".repeat(4_000)}`],
  [`room/${"dm/".repeat(1_000)}`],
  [`room/${"../".repeat(1_000)}x`],
];

/** The attacks of readers. */
export const feedAttacks: readonly Attack[] = [
  {
    name: "long polls of one user, hundreds at once",
    async run(attacker) {
      const headers = { authorization: `Bearer ${await user("poller")}` };
      await repeat(attacker, 300, () => read(attacker, "user?offset=now&live=long-poll", headers));
    },
    must: ["TOO_MANY_STREAMS, retry", "RATE_LIMITED, retry"],
    may: ["status 204"],
  },
  {
    name: "server-sent events that nobody reads, with messages of 60 KB",
    async run(attacker) {
      const token = await user("mallory");
      for (let stream = 0; stream < 90; stream++) {
        const socket = openTcp(attacker);
        socket.pause();
        socket.write(
          `GET /stream/room/dm/mallory/mallory?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`,
        );
      }
      const body = { audience: { roomId: "dm/mallory/mallory" }, message: { kind: 1, content: "x".repeat(60_000) } };
      await repeat(attacker, 4, () => callAndCount(attacker, { method: "Publish", body, token }));
    },
    must: ["status 200"],
    may: ["RATE_LIMITED, retry"],
  },
  {
    name: "feeds with offsets, rooms and headers that make no sense",
    async run(attacker) {
      const tokens = await Promise.all(Array.from({ length: 20 }, (_, index) => user(`nonsense${index}`)));
      let next = 0;
      await repeat(attacker, 8, async () => {
        const [path, headers] = nonsense[next % nonsense.length] as (typeof nonsense)[number];
        const authorization = `Bearer ${tokens[next++ % tokens.length]}`;
        await read(attacker, path, { authorization, ...headers });
      });
    },
    must: ["POSITION_GONE", "POSITION_INVALID", "FIELD_INVALID"],
    may: ["status 200", "status 404", "ROOM_FORBIDDEN", "RATE_LIMITED, retry", "TOO_MANY_NEW_STREAMS, retry"],
  },
];
