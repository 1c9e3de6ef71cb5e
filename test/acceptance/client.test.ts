/** The typed client, in pages and in backends. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { connectTidings, type TidingsOptions } from "../../src/client/index.ts";
import { FakeClock, seededRandom, tick } from "../support/clock.ts";
import { note, toTenant, toUser } from "./audiences.ts";
import { eventually, Stage } from "./stage.ts";

type Fetch = NonNullable<TidingsOptions["fetch"]>;

test("row 17: of three tabs one rings, each shows the badge without a call of its own, and another user's page does neither", async () => {
  await using stage = await Stage.open();
  let calls = 0;
  const counting: Fetch = (...args) => {
    calls++;
    return fetch(...args);
  };
  const open = (user: string) => {
    const rings: string[] = [];
    const token = stage.token(user);
    const tab = connectTidings({ url: stage.server.url, token: () => token, transport: "ws", fetch: counting });
    tab.on("message", ({ title, alert }) => alert && rings.push(title));
    return { tab, rings };
  };
  const tabs = ["ann", "ann", "ann", "wei"].map(open);
  await eventually(() => tabs.map(({ tab }) => tab.state.value)).toEqual(tabs.map(() => "live"));
  await stage.publish(toUser("ann"), note("one"));
  await stage.publish(toUser("ann"), note("two"));
  await eventually(() => tabs.map(({ tab }) => tab.unread.value?.total)).toEqual([2, 2, 2, 0]);
  const [others, wei] = [tabs.slice(0, 3).flatMap(({ rings }) => rings), tabs[3]?.rings];
  expect([others.sort(), wei, calls]).toEqual([["one", "two"], [], 0]);
  for (const { tab } of tabs) tab.close();
});

describe("A push", () => {
  /** A server that accepts connections and never answers. */
  async function silentServer(): Promise<{ server: Server; url: string; sockets: Set<Socket> }> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => sockets.add(socket.on("error", () => {})));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { server, sockets, url: `http://127.0.0.1:${(server.address() as { port: number }).port}` };
  }

  test("row 42: a push that no server answers or accepts fails by the caller's timeout", async () => {
    const silent = await silentServer();
    const backend = connectTidings({ url: silent.url, token: () => "a.b.c", transport: "connect" });
    const push = () => backend.publish({ audience: toUser("ann"), message: note("saved") }, { timeoutMs: 300 });
    const start = performance.now();
    // The caller saves its own data whatever becomes of the push.
    const saved = await push().then(
      () => "pushed",
      ({ code }) => `saved, not pushed: ${code}`,
    );
    expect(saved).toBe("saved, not pushed: deadline_exceeded");
    expect(performance.now() - start).toBeLessThan(2_000);
    for (const socket of silent.sockets) socket.destroy();
    await new Promise((resolve) => silent.server.close(resolve));
    await expect(push()).rejects.toMatchObject({ code: "unavailable" });
    backend.close();
  });

  test("row 42: a push whose response was lost is repeated under its id, and there is one message", async () => {
    await using stage = await Stage.open();
    const page = await stage.page("ann");
    let losing = true;
    /** Delivers the first request and loses its response. */
    const lossy: Fetch = async (input, init) => {
      const response = await fetch(input, init);
      if (!losing || !String(input).endsWith("/Publish")) return response;
      losing = false;
      await response.arrayBuffer();
      throw new TypeError("the network is down");
    };
    const token = stage.server.token({ tenant: stage.tenant, role: "service" });
    const backend = connectTidings({ url: stage.server.url, token: () => token, transport: "connect", fetch: lossy });
    expect(await backend.publish({ audience: toUser("ann"), message: note("once") })).toMatchObject({
      duplicate: true,
    });
    await stage.settle("ann", page);
    expect(page.titles).toEqual(["once"]);
    expect((await stage.user("ann").listUnread({})).unread?.total).toBe(1);
    backend.close();
  });
});

test("row 39: 150 clients outlast a minute without a server: one error each, back spread over 30 s, and nothing lost", {
  timeout: 60_000,
}, async () => {
  const crowd = 150;
  const data = mkdtempSync(join(tmpdir(), "tidings-outage-"));
  const clock = new FakeClock(Date.now());
  const first = await Stage.open({ data });
  const { tenant, server } = first;
  const { url, port } = server;
  const people = Array.from({ length: crowd }, (_, n) => {
    const token = first.token(`u${n}`);
    const client = connectTidings({ url, token: () => token, transport: "ws", clock, random: seededRandom(n) });
    const titles: string[] = [];
    let errors = 0;
    client.on("message", ({ title }) => titles.push(title));
    client.on("error", () => errors++);
    return { client, titles, errors: () => errors };
  });
  const inState = (...states: string[]) => people.filter(({ client }) => states.includes(client.state.value)).length;
  /** Advances the clients' clock by a quarter of a second, and waits for the attempts that it started. */
  const quarter = async () => {
    await clock.advance(250);
    while (inState("authorizing", "connecting", "replaying") > 0) await tick();
  };
  while (inState("live") < crowd) await quarter();
  await first.server.stop();
  for (let quarters = 0; quarters < 240; quarters++) await quarter();
  expect(inState("waiting", "held")).toBe(crowd);

  await using second = await Stage.open({ data, port });
  await second.service(tenant).publish({ audience: toTenant, message: note("what you missed") });
  const back: number[] = [];
  for (let second = 0; second < 30; second++) {
    const before = inState("live");
    for (let quarters = 0; quarters < 4; quarters++) await quarter();
    back.push(inState("live") - before);
  }
  expect(inState("live")).toBe(crowd);
  expect(Math.max(...back)).toBeLessThanOrEqual(crowd / 10);
  expect(people.map(({ errors }) => errors())).toEqual(people.map(() => 1));
  await eventually(() => people.every(({ titles }) => titles.length > 0)).toBe(true);
  expect(people.map(({ titles }) => titles)).toEqual(people.map(() => ["what you missed"]));
  for (const { client } of people) client.close();
  await first.close();
  rmSync(data, { recursive: true, force: true });
});
