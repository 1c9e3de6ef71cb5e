/** The online count: users, and their pages. */
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { PushService, SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { ServerProcess, tokenFor } from "../faults/server-process.ts";
import { FakeClock } from "../support/clock.ts";
import { openSocket, openStream, type Page } from "./page.ts";
import { eventually, Stage, ways } from "./stage.ts";

describe("The online count", () => {
  let clock: FakeClock;
  let stage: Stage;
  beforeAll(async () => {
    clock = new FakeClock();
    stage = await Stage.open({ clock });
  });
  afterEach(() => stage.leave());
  afterAll(() => stage.close());

  const titleOf = (page: Page) => {
    const { users, connections } = page.all("online").at(-1) ?? page.all("hello")[0]?.online ?? {};
    return `ERP ${users} online / ${connections} pages`;
  };

  test("row 18: the count in a page's title is live, changes at most once a second while 100 pages open, and is exact in the end", async () => {
    const watching = await stage.page("ann", { onlineCount: true });
    expect(titleOf(watching)).toBe("ERP 1 online / 1 pages");
    await Promise.all([stage.page("ann"), stage.page("bob", { over: "ws" })]);
    await clock.advance(1000);
    await watching.until((page) => titleOf(page) === "ERP 2 online / 3 pages");
    await clock.advance(1000);

    const before = watching.all("online").length;
    // The server's clock stands still, so all of this happens at one time.
    await Promise.all(Array.from({ length: 100 }, (_, n) => stage.page(`u${n}`, { over: ways[n % 3] ?? "ws" })));
    await stage.settle("ann", watching);
    expect(watching.all("online").length - before).toBeLessThanOrEqual(1);
    await clock.advance(1000);
    await watching.until((page) => titleOf(page) === "ERP 102 online / 103 pages");
    expect(watching.all("online").length - before).toBeLessThanOrEqual(2);
  });

  test("row 19: the count has each user once and every page, of one company or of some users, as they come and go", async () => {
    const backend = stage.service();
    const count = async () => {
      const { users, connections } = await backend.onlineCount({});
      return [users, connections];
    };
    const [tab, phone, other] = await Promise.all([
      stage.page("ann"),
      stage.page("ann", { over: "ws" }),
      stage.page("bob", { over: "grpc" }),
    ]);
    expect(await count()).toEqual([2, 3]);
    const some = await backend.onlineCount({ scope: { case: "users", value: { userIds: ["ann", "cy"] } } });
    expect(some.presences).toMatchObject([
      { userId: "ann", online: true, connections: 2 },
      { userId: "cy", online: false, connections: 0 },
    ]);
    tab.cut();
    await eventually(count).toEqual([2, 2]);
    phone.cut();
    await eventually(count).toEqual([1, 1]);
    expect(await stage.service("elsewhere").onlineCount({})).toMatchObject({ users: 0, connections: 0 });
    other.cut();
    await eventually(count).toEqual([0, 0]);
  });
});

/** Sends the token with each call. */
function bearer(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}

test("row 20: after a crash with 50 open pages the count is that of the 10 pages that came back", {
  timeout: 60_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "tidings-online-"));
  const service = await tokenFor({ sub: "backend", tenant: "acme", role: "service" });
  const user = await tokenFor({ sub: "ann", tenant: "acme", role: "user" });
  const sessions: Http2SessionManager[] = [];
  const openPages = async (server: ServerProcess, count: number) => {
    const baseUrl = await server.ready;
    const sessionManager = new Http2SessionManager(baseUrl);
    sessions.push(sessionManager);
    const transport = createGrpcTransport({ baseUrl, sessionManager, interceptors: [bearer(user)] });
    const client = createClient(PushService, transport);
    const pages = Array.from({ length: count }, () => openStream(client, create(SubscribeRequestSchema)).live());
    await Promise.all(pages);
    const backend = createClient(
      PushService,
      createGrpcTransport({ baseUrl, sessionManager, interceptors: [bearer(service)] }),
    );
    return (await backend.onlineCount({})).connections;
  };
  const servers = [new ServerProcess({ data: folder, workers: "1" })];
  try {
    expect(await openPages(servers[0] as ServerProcess, 50)).toBe(50);
    await servers[0]?.kill();
    servers.push(new ServerProcess({ data: folder, workers: "1" }));
    expect(await openPages(servers[1] as ServerProcess, 10)).toBe(10);
  } finally {
    for (const session of sessions) session.abort();
    for (const server of servers) await server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
});

/** A proxy between a server and its clients that can be cut without closing a connection on either side. */
async function network(port: number) {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const socket of [near, far]) sockets.add(socket.on("error", () => {}));
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      for (const socket of sockets) socket.unpipe().pause();
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test("row 20: pages whose network is cut silently are out of the count after two pings", async () => {
  // Pings are the only timers that do not use the server's clock.
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "setTimeout", "clearTimeout"] });
  await using stage = await Stage.open();
  const { url, cut, close } = await network(stage.server.port);
  const sessionManager = new Http2SessionManager(url);
  try {
    const token = await stage.token("ann");
    const transport = createGrpcTransport({ baseUrl: url, sessionManager, interceptors: [bearer(token)] });
    const request = create(SubscribeRequestSchema);
    const near = await stage.page("bob");
    const far = [openSocket(url, token, request), openStream(createClient(PushService, transport), request)];
    await Promise.all(far.map((page) => page.live()));
    const count = async () => (await stage.service().onlineCount({})).connections;
    expect(await count()).toBe(3);
    cut();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(await count()).toBe(3);
    await vi.advanceTimersByTimeAsync(20_000);
    await eventually(count).toBe(1);
    expect(near.end).toBeUndefined();
  } finally {
    vi.useRealTimers();
    close();
    sessionManager.abort();
  }
});
