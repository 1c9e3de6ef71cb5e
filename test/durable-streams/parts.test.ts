/** Offsets, cursors and queries, without a server. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nextCursor } from "../../src/durable-streams/cursor.ts";
import { feedPathOf, parametersOf, readQuery } from "../../src/durable-streams/request.ts";
import { formatOffset, parseOffset } from "../../src/stream/feed-offset.ts";
import { cookiesOf } from "../../src/util/cookies.ts";
import { seededRandom } from "../support/clock.ts";

const position = fc.record({ epoch: fc.integer({ min: 1, max: 2 ** 32 - 1 }), seq: fc.maxSafeNat() });

describe("An offset", () => {
  test("is the position that it was made of", () => {
    fc.assert(
      fc.property(position, (at) => {
        expect(parseOffset(formatOffset(at), "offset")).toEqual(at);
      }),
    );
  });

  test("sorts as text like its position", () => {
    const compare = (a: number, b: number) => Math.sign(a - b);
    fc.assert(
      fc.property(position, position, (a, b) => {
        const [textA, textB] = [formatOffset(a), formatOffset(b)];
        const order = textA < textB ? -1 : textA > textB ? 1 : 0;
        expect(order).toBe(compare(a.epoch, b.epoch) || compare(a.seq, b.seq));
      }),
    );
  });

  test.each([
    "",
    "0",
    "1_2",
    "0000000001_000000000000000",
    "0000000001_00000000000000001",
    "0000000000_0000000000000001",
    "4294967296_0000000000000001",
    "0000000001_9999999999999999",
    "0000000001_0000000000000001 ",
    "0000000001,0000000000000001",
    "٠٠٠٠٠٠٠٠٠١_0000000000000001",
    "-2",
    "NOW",
    `0000000001_${"9".repeat(10_000)}`,
  ])("is refused when this server did not make it: %j", (text) => {
    expect(() => parseOffset(text, "offset")).toThrow("offset: must be -1, now, or an offset");
  });
});

describe("A cursor", () => {
  const random = seededRandom();
  const at = Date.UTC(2024, 9, 9, 0, 1);

  test("is the number of the interval of 20 s since 9 October 2024", () => {
    expect(nextCursor(at, undefined, random)).toBe("3");
    expect(nextCursor(at + 19_999, 2, random)).toBe("3");
    expect(nextCursor(0, undefined, random)).toBe("0");
  });

  test("is later than that of the reader, by an hour at most", () => {
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 1_000_000 }), (given) => {
        const next = Number(nextCursor(at, given, random));
        expect(next).toBeGreaterThan(given);
        expect(next).toBeLessThanOrEqual(given + 180);
      }),
    );
  });
});

describe("A path", () => {
  test.each([
    ["/stream/user", { name: "user" }],
    ["/stream/everyone?offset=-1", { name: "everyone" }],
    ["/stream/room/editor/7?live=sse", { room: "editor/7" }],
    ["/stream/room/dm%2Fa%252Fb%2Fc", { room: "dm%2Fa%252Fb%2Fc" }],
    ["/stream/room/", { room: "" }],
    ["/stream/room/a?b=/stream/user", { room: "a" }],
    ["/stream/users", undefined],
    ["/stream/user/", undefined],
    ["/stream/room", undefined],
    ["/stream", undefined],
    ["//stream/user", undefined],
    ["/x/stream/user", undefined],
    ["/stream/constructor", undefined],
    ["", undefined],
  ])("%j names a feed or none", (target, feed) => {
    expect(feedPathOf(target)).toEqual(feed);
  });
});

describe("A query", () => {
  const read = (query: string, lastEventId?: string) =>
    readQuery(parametersOf(`/stream/user${query}`), { name: "user" }, lastEventId);
  const offset = formatOffset({ epoch: 7, seq: 40 });

  test("reads from the oldest message without an offset, and with -1", () => {
    expect(read("")).toMatchObject({ mode: "catch-up", start: "oldest", cursor: undefined });
    expect(read("?offset=-1")).toEqual(read(""));
    expect(read("?")).toEqual(read(""));
  });

  test("names a position, a mode, a cursor and a filter; other parameters are ignored", () => {
    const query = `?offset=${offset}&live=long-poll&cursor=12&kinds=KIND_EVENT&kinds=KIND_ACTIVITY&categories=a&events=b&x=y`;
    const { request, ...rest } = read(query);
    expect(rest).toEqual({ mode: "long-poll", start: { epoch: 7, seq: 40 }, cursor: 12 });
    expect(request).toMatchObject({ kinds: [3, 2], categories: ["a"], events: ["b"], rooms: [] });
  });

  test.each([
    ["?live=sse", "offset: is required"],
    ["?live=long-poll", "offset: is required"],
    ["?live=true&offset=now", "live: must be long-poll or sse"],
    ["?live=&offset=now", "live: must be long-poll or sse"],
    ["?live=sse&live=sse&offset=now", "live: is given more than once"],
    ["?offset=-1&offset=-1", "offset: is given more than once"],
    ["?cursor=1&cursor=2", "cursor: is given more than once"],
    ["?offset=", "offset: must be -1, now"],
    ["?offset=0,1", "offset: must be -1, now"],
    ["?kinds=EVENT", "kinds: must be KIND_NOTIFICATION"],
    ["?kinds=KIND_UNSPECIFIED,KIND_EVENT", "kinds: must be KIND_NOTIFICATION"],
  ])("%s is refused", (query, sentence) => {
    expect(() => read(query)).toThrow(sentence);
  });

  test("of an EventSource that reconnects goes on at the last event", () => {
    expect(read("?live=sse&offset=-1", offset).start).toEqual({ epoch: 7, seq: 40 });
    expect(() => read("?live=sse&offset=-1", "x")).toThrow("last-event-id: must be");
    expect(read("?offset=-1", "x").start).toBe("oldest");
  });

  test("ignores a cursor that is no number", () => {
    expect(read("?cursor=x").cursor).toBeUndefined();
    expect(read(`?cursor=${"9".repeat(13)}`).cursor).toBeUndefined();
  });

  test("for a room has the room's id as it was before it was put into the path", () => {
    const room = (path: string) =>
      readQuery(parametersOf(`/stream/room/${path}`), { room: path }, undefined).request.rooms[0]?.roomId;
    expect(room("editor/7")).toBe("editor/7");
    expect(room("a%20b%3F%C3%A4")).toBe("a b?ä");
    expect(room("dm%2Fa%252Fb%2Fc")).toBe("dm/a%2Fb/c");
    expect(() => room("%E0%A4%A")).toThrow("room_id: must be percent-encoded UTF-8");
  });
});

test("Cookies are found by their whole name, each of them, without quotes", () => {
  expect(cookiesOf('a=1; session=x.y=; sessions=no; xsession=no;session="q" ;=z; session', "session")).toEqual([
    "x.y=",
    "q",
  ]);
  expect(cookiesOf("", "session")).toEqual([]);
});
