/** Identity: tokens, their expiry, logouts and blocks. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { PushService, SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { connectTidings } from "../../src/client/index.ts";
import { FakeClock } from "../support/clock.ts";
import { mintToken } from "../support/token.ts";
import { note, toTenant, toUser } from "./audiences.ts";
import { openSocket, type Page } from "./page.ts";
import { eventually, refusal, Stage, ways } from "./stage.ts";

describe("Identity", () => {
  let clock: FakeClock;
  let stage: Stage;
  beforeAll(async () => {
    clock = new FakeClock();
    stage = await Stage.open({ clock });
  });
  afterEach(() => stage.leave());
  afterAll(() => stage.close());

  const inSeconds = (seconds: number) => Math.floor(clock.now() / 1000) + seconds;
  /** A token that is signed without knowing the secret. */
  const forge = (claims: Record<string, unknown>) =>
    mintToken({
      claims: { tenant: stage.tenant, ...claims },
      key: new TextEncoder().encode("another secret, just as long 0123"),
    });

  test("row 24: only a signed token of the company can publish in it, and no reader sees any part of the token", async () => {
    const page = await stage.page("ann", { over: "ws" });
    const request = { audience: toUser("ann"), message: note("from the backend") };
    const forged = await forge({ sub: "backend", role: "service" });
    const forger = createClient(
      PushService,
      stage.transport(async () => forged),
    );
    expect(await refusal(forger.publish(request))).toBe("unauthenticated TOKEN_INVALID");
    const foreign = stage.service("elsewhere").publish({ ...request, tenantId: stage.tenant });
    expect(await refusal(foreign)).toBe("permission_denied TENANT_FORBIDDEN");
    expect(await refusal(stage.user("ann").publish(request))).toBe("permission_denied AUDIENCE_FORBIDDEN");
    await stage.service().publish(request);
    await stage.settle("ann", page);
    expect(page.titles).toEqual(["from the backend"]);
    const seen = JSON.stringify(page.events, (_, value) => (typeof value === "bigint" ? `${value}` : value));
    // Every JWT begins with these three letters.
    expect(seen).not.toContain("eyJ");
  });

  test("row 25: a page is the user of its token: with a forged one it gets no event, and with an expired one it ends", async () => {
    for (const over of ways) {
      const expiring = await stage.page("ann", { over, exp: inSeconds(60) });
      await clock.advance(60_000);
      expect(await expiring.ended()).toEqual({ code: "unauthenticated", reason: "TOKEN_EXPIRED" });
    }
    const forged = await forge({ sub: "ann" });
    const page = openSocket(stage.server.url, forged, create(SubscribeRequestSchema));
    await stage.publish(toUser("ann"), note("for ann alone"));
    expect(await page.ended()).toEqual({ code: "unauthenticated", reason: "TOKEN_INVALID" });
    expect(page.events).toEqual([]);
  });

  test("row 25: the typed client reconnects with a fresh token and misses nothing", async () => {
    const refreshes: boolean[] = [];
    const tidings = connectTidings({
      url: stage.server.url,
      token({ refresh }) {
        refreshes.push(refresh);
        return stage.token("ann", { exp: inSeconds(60) });
      },
    });
    const titles: string[] = [];
    const errors: unknown[] = [];
    tidings.on("message", ({ title }) => titles.push(title));
    tidings.on("error", (error) => errors.push(error));
    await eventually(() => tidings.state.value).toBe("live");
    await stage.publish(toUser("ann"), note("before"));
    await clock.advance(60_000);
    await stage.publish(toUser("ann"), note("meanwhile"));
    await eventually(() => titles).toEqual(["before", "meanwhile"]);
    expect([refreshes, errors]).toEqual([[false, true], []]);
    tidings.close();
  });

  test("row 26: a logout ends all pages of the user, and a block keeps the user out until it ends", async () => {
    const pages = await Promise.all(ways.map((over) => stage.page("ann", { over })));
    const bystander = await stage.page("bob");
    const ended = (all: readonly Page[]) => Promise.all(all.map((page) => page.ended()));
    const disconnected = { code: "permission_denied", reason: "DISCONNECTED" };
    expect(await stage.admin().disconnect({ userId: "ann", reason: "logged out" })).toMatchObject({ connections: 3 });
    expect(await ended(pages)).toEqual(pages.map(() => disconnected));
    const again = await stage.page("ann", { jti: "this login" });
    const block = { userId: "ann", tokenId: "this login", blockUntil: timestampFromMs(clock.now() + 60_000) };
    await stage.admin().disconnect(block);
    expect(await ended([again])).toEqual([disconnected]);
    expect(await refusal(stage.user("ann", { jti: "this login" }).listUnread({}))).toBe(
      "permission_denied CALLER_BLOCKED",
    );
    await stage.user("ann", { jti: "another login" }).listUnread({});
    await clock.advance(60_000);
    await stage.user("ann", { jti: "this login" }).listUnread({});
    await stage.publish(toTenant, note("still here"));
    expect((await bystander.has(1)).titles).toEqual(["still here"]);
  });
});
