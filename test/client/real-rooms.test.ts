/** Rooms with both clients and a real server. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { mintToken } from "../../src/auth/mint-token.ts";
import * as proto from "../../src/client/index.ts";
import * as json from "../../src/client/json.ts";
import { createTidings, type Tidings } from "../../src/server.ts";

const secret = "k3yF0rTe5ts-0nly-q8Zr2Vw6Xn4Bm1Lc";
let tidings: Tidings;
let url: string;
const open: { close(): void }[] = [];

beforeEach(async () => {
  tidings = await createTidings({ data: ":memory:", auth: { secret } });
  ({ url } = await tidings.listen({ port: 0 }));
});

afterEach(async () => {
  for (const client of open.splice(0)) client.close();
  await tidings.close();
});

const tokenOf = (sub: string, role: "user" | "service" = "user") => {
  const now = Math.floor(Date.now() / 1000);
  const grants = { rooms: ["hall", "solo"], publish: ["hall"], takeover: ["solo"] };
  return mintToken(secret, { sub, tenant: "acme", role, exp: now + 600, ...(role === "user" && grants) }, now);
};

const clients = {
  "The Protobuf client": (options: object) => proto.connectTidings({ url, token: () => "", ...options }),
  "The JSON client": (options: object) => json.connectTidings({ url, token: () => "", ...options }),
};

function backend() {
  const client = json.connectTidings({ url, token: () => tokenOf("backend", "service") });
  open.push(client);
  return client;
}

describe.each(Object.entries(clients))("%s", (_name, connect) => {
  /** A client of a user, with the titles and the room events that it received. */
  function page(user: string, options: object = {}) {
    const client = connect({ token: () => tokenOf(user), ...options });
    open.push(client);
    const titles: unknown[] = [];
    const rooms: string[] = [];
    client.on("message", ({ title }) => void titles.push(title));
    client.on("room", ({ roomId, status, code }) => void rooms.push(`${roomId} ${status} ${code}`.trim()));
    return { client, titles, rooms };
  }
  const live = ({ client }: { client: { state: { value: string } } }) =>
    vi.waitFor(() => expect(client.state.value).toBe("live"));

  test("joins a room, gets its kept events, and leaves it without losing its other positions", async () => {
    const service = backend();
    const stage = (title: string) => service.publish({ roomId: "hall", kind: "event", title, ttlMs: 60_000 });
    await stage("one");
    await stage("two");
    const ada = page("ada", { subscribe: { rooms: [{ roomId: "hall" }] } });
    await vi.waitFor(() => expect(ada.titles).toEqual(["one", "two"]));
    await live(ada);
    await stage("three");
    await vi.waitFor(() => expect(ada.titles).toEqual(["one", "two", "three"]));
    ada.client.join("dm/bob/ada");
    await vi.waitFor(() => expect(ada.rooms.at(-1)).toBe("dm/ada/bob joined"));
    await live(ada);
    await stage("four");
    await service.publish({ roomId: proto.directRoom("ada", "bob"), kind: "notification", title: "five" });
    await vi.waitFor(() => expect(ada.titles.slice(3).sort()).toEqual(["five", "four"]));
    await vi.waitFor(() => expect(ada.client.unread.value?.total).toBe(1));
    ada.client.leave("hall");
    await live(ada);
    await stage("six");
    await service.publish({ userId: "ada", kind: "notification", title: "seven" });
    await vi.waitFor(() => expect(ada.titles.at(-1)).toBe("seven"));
    expect(ada.titles).not.toContain("six");
    expect(ada.rooms).toEqual(["hall joined", "hall joined", "dm/ada/bob joined", "dm/ada/bob joined"]);
  });

  test("is refused by a room that it may not enter and by one that is taken, and joins the rest", async () => {
    const first = page("ada", { subscribe: { rooms: [{ roomId: "solo", mode: "first" }] } });
    await live(first);
    const rooms = [{ roomId: "solo", mode: "first" }, { roomId: "secret" }, { roomId: "hall" }];
    const second = page("bob", { subscribe: { rooms } });
    await live(second);
    expect(first.rooms).toEqual(["solo joined"]);
    expect(second.rooms.toSorted()).toEqual([
      "hall joined",
      "secret refused permission_denied",
      "solo refused already_exists",
    ]);
    first.client.join("hall");
    await vi.waitFor(() => expect(first.rooms.slice(1).toSorted()).toEqual(["hall joined", "solo joined"]));
  });

  test("loses a room to the newest client, and does not take it back", async () => {
    const rooms = [{ roomId: "solo", mode: "last" }];
    const older = page("ada", { subscribe: { rooms } });
    await live(older);
    const newer = page("ada", { subscribe: { rooms } });
    await vi.waitFor(() => expect(older.rooms).toEqual(["solo joined", "solo kicked already_exists"]));
    older.client.join("hall");
    await vi.waitFor(() => expect(older.rooms.at(-1)).toBe("hall joined"));
    expect(newer.rooms).toEqual(["solo joined"]);
    newer.client.join("hall");
    await vi.waitFor(() => expect(newer.rooms.length).toBe(3));
    expect(newer.rooms.toSorted()).toEqual(["hall joined", "solo joined", "solo joined"]);
  });

  test("takes a room by join() with the mode last: the client that was in it is kicked", async () => {
    const [older, newer] = [page("ada"), page("ada")];
    await Promise.all([live(older), live(newer)]);
    older.client.join("solo", { mode: "last" });
    await vi.waitFor(() => expect(older.rooms).toEqual(["solo joined"]));
    newer.client.join("solo", { mode: "last" });
    await vi.waitFor(() => expect(older.rooms).toEqual(["solo joined", "solo kicked already_exists"]));
    await vi.waitFor(() => expect(newer.rooms).toEqual(["solo joined"]));
  });

  test("counts a notification of its own user as read, and gets no alert for it", async () => {
    const subscribe = { rooms: [{ roomId: "dm/ada/bob" }] };
    const [ada, bob] = [page("ada", { subscribe }), page("bob", { subscribe })];
    await Promise.all([live(ada), live(bob)]);
    const alerts: unknown[] = [];
    for (const { client } of [ada, bob]) client.on("message", ({ alert }) => void alerts.push(alert ?? false));
    const states: unknown[] = [];
    ada.client.on("readState", ({ unread }) => void states.push(unread?.total));
    const sender = json.connectTidings({ url, token: () => tokenOf("ada") });
    open.push(sender);
    const room = json.directRoom("bob", "ada");
    const answer = await sender.publish({ roomId: room, kind: "notification", title: "hi", requestId: "r1" });
    expect(answer).toMatchObject({ messageId: expect.any(String), publishTime: expect.any(String), onlineUsers: 2 });
    expect((await sender.publish({ roomId: room, kind: "notification", title: "hi", requestId: "r1" })).duplicate).toBe(
      true,
    );
    await vi.waitFor(() => expect([ada.titles, bob.titles, states.at(-1)]).toEqual([["hi"], ["hi"], 0]));
    // The repeated publish may be announced again.
    expect(new Set(states)).toEqual(new Set([0]));
    expect(alerts.toSorted()).toEqual([false, true]);
    expect([ada.client.unread.value?.total, bob.client.unread.value?.total]).toEqual([0, 1]);
  });

  test("publishes only to rooms where it may", async () => {
    const sender = json.connectTidings({ url, token: () => tokenOf("ada") });
    open.push(sender);
    expect((await sender.publish({ roomId: "hall", kind: "event", event: "typing" })).messageId).toBeTruthy();
    await expect(sender.publish({ roomId: "solo", kind: "event" })).rejects.toMatchObject({ reason: "ROOM_FORBIDDEN" });
    await expect(sender.publish({ kind: "event" })).rejects.toThrow(TypeError);
  });
});
