import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import type { PublishRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import { MemoryRateLimiter } from "../../src/adapters/memory/rate-limiter.ts";
import type { Identity } from "../../src/auth/identity.ts";
import { type Reason, reasonOf, retryAfterOf } from "../../src/errors.ts";
import type { LimitOptions } from "../../src/limit-options.ts";
import { roomFeed } from "../../src/rooms/grants.ts";
import { FakeClock } from "../support/clock.ts";
import {
  type DraftInit,
  publishRequest,
  serviceOf,
  type TestCore,
  toEveryone,
  toRoom,
  toTenant,
  toUser,
  toUsers,
  userOf,
  withTestCore,
} from "../support/core.ts";

interface Limited {
  readonly node: TestCore;
  /** Publishes requests together: "ok" or the error's reason for each, or the reason for which all of them were refused. */
  publish(caller: Identity, ...requests: PublishRequest[]): Promise<(Reason | "ok" | undefined)[] | ConnectError>;
}

/** Runs `use` with a node that has these limits. */
async function withLimits(limits: LimitOptions, use: (limited: Limited) => Promise<void>): Promise<void> {
  const clock = new FakeClock();
  const publish =
    (node: TestCore) =>
    async (caller: Identity, ...requests: PublishRequest[]) => {
      try {
        const outcomes = await node.core.publisher.publish(caller, requests);
        return outcomes.map((outcome) => (outcome instanceof ConnectError ? reasonOf(outcome) : ("ok" as const)));
      } catch (error) {
        if (error instanceof ConnectError) return error;
        throw error;
      }
    };
  const options = { clock, limiter: new MemoryRateLimiter(clock), limits };
  await withTestCore((node) => use({ node, publish: publish(node) }), options);
}

/** A user who may publish to `lobby`. */
function speaker(tenant: string, subject = "ann"): Identity {
  return { ...userOf(tenant, subject), rooms: ["lobby"], publish: ["lobby"] };
}

const toLobby = { case: "roomId", value: "lobby" } as const;

test("Publish by a user over its limit is refused with the limit, and works after the delay", async () => {
  await withLimits({ publishesPerUser: { perSecond: 2, burst: 3 } }, async ({ node, publish }) => {
    const ann = speaker("t");
    for (let index = 0; index < 3; index++) expect(await publish(ann, publishRequest(toLobby))).toEqual(["ok"]);
    const error = (await publish(ann, publishRequest(toLobby))) as ConnectError;
    expect(error.rawMessage).toBe(
      "the user may publish 2 messages a second, and 3 at once; repeat the request after the delay",
    );
    expect(error.findDetails(ErrorInfoSchema)[0]).toMatchObject({
      reason: "RATE_LIMITED",
      metadata: { option: "limits.publishesPerUser", limit: "2", burst: "3", cost: "1" },
    });
    expect(retryAfterOf(error)).toBe(500);
    expect(await publish(speaker("t", "bob"), publishRequest(toLobby))).toEqual(["ok"]);
    expect(await publish(speaker("u"), publishRequest(toLobby))).toEqual(["ok"]);
    await node.pass(500);
    expect(await publish(ann, publishRequest(toLobby))).toEqual(["ok"]);
  });
});

test("Publish has a limit for users by default, and none for services", async () => {
  await withLimits({}, async ({ publish }) => {
    const said = await Promise.all(Array.from({ length: 101 }, () => publish(speaker("t"), publishRequest(toLobby))));
    expect(said.filter(Array.isArray)).toHaveLength(100);
    const requests = Array.from({ length: 1_000 }, () => publishRequest(toUsers("a", "b", "c")));
    for (let call = 0; call < 5; call++) expect(await publish(serviceOf("t"), ...requests)).not.toContain(undefined);
  });
});

test("A batch costs one for each user that it names, and is refused as a whole before anything is stored", async () => {
  await withLimits({ publishesPerCredential: { perSecond: 1, burst: 10 } }, async ({ node, publish }) => {
    const service = serviceOf("t");
    const three = publishRequest(toUsers("a", "b", "c"));
    expect(await publish(service, three, publishRequest(toTenant))).toEqual(["ok", "ok"]);
    const appended = node.called("append");
    const error = (await publish(service, three, three, publishRequest(toUser("a")))) as ConnectError;
    expect(reasonOf(error)).toBe("RATE_LIMITED");
    expect(error.findDetails(ErrorInfoSchema)[0]?.metadata.cost).toBe("7");
    expect(node.called("append")).toBe(appended);
    expect(await publish(service, three, three)).toEqual(["ok", "ok"]);
  });
});

test("A service has one limit in all its tokens, and another one has its own", async () => {
  await withLimits({ publishesPerCredential: { perSecond: 1, burst: 1 } }, async ({ publish }) => {
    const request = publishRequest(toUser("a"));
    expect(await publish({ ...serviceOf("t"), tokenId: "one" }, request)).toEqual(["ok"]);
    expect(await publish({ ...serviceOf("t"), tokenId: "two" }, request)).toBeInstanceOf(ConnectError);
    expect(await publish({ ...serviceOf("t"), subject: "other" }, request)).toEqual(["ok"]);
    expect(await publish(serviceOf("u"), request)).toEqual(["ok"]);
  });
});

test("A tenant over its limit is refused, whoever publishes, and other tenants in the same batch are not", async () => {
  await withLimits({ publishesPerTenant: { perSecond: 1, burst: 2 } }, async ({ publish }) => {
    const to = (tenantId: string) => publishRequest(toUser("a"), {}, { tenantId });
    const invalid = publishRequest(toUser("a"), { content: "x".repeat(100_000) }, { tenantId: "t" });
    expect(await publish(serviceOf("t"), publishRequest(toUser("a")))).toEqual(["ok"]);
    expect(await publish(serviceOf(), to("t"))).toEqual(["ok"]);
    expect(await publish(speaker("t"), publishRequest(toLobby))).toBeInstanceOf(ConnectError);
    expect(await publish(serviceOf(), to("u"), to("t"), invalid, publishRequest(toEveryone), to("u"))).toEqual([
      "ok",
      "RATE_LIMITED",
      "MESSAGE_TOO_LARGE",
      "ok",
      "ok",
    ]);
  });
});

test("Bytes of content and payload have a limit of their own, and a request that is refused takes nothing of others", async () => {
  const limits = { bytesPerUser: { perSecond: 10, burst: 100 }, publishesPerUser: { perSecond: 1, burst: 3 } };
  await withLimits(limits, async ({ publish }) => {
    const ann = speaker("t");
    const say = (bytes: number) => publish(ann, publishRequest(toLobby, { content: "x".repeat(bytes) }));
    expect(await say(60)).toEqual(["ok"]);
    const error = (await say(60)) as ConnectError;
    expect(error.findDetails(ErrorInfoSchema)[0]?.metadata).toMatchObject({
      option: "limits.bytesPerUser",
      cost: "60",
    });
    expect(retryAfterOf(error)).toBe(2_000);
    expect(await say(40)).toEqual(["ok"]);
    expect(await say(0)).toEqual(["ok"]);
    expect(((await say(0)) as ConnectError).findDetails(ErrorInfoSchema)[0]?.metadata.option).toBe(
      "limits.publishesPerUser",
    );
  });
});

test("Publish by a user to rooms that nobody has published to is limited, and to existing ones it is not", async () => {
  await withLimits({ newRoomsPerUser: { perSecond: 0.02, burst: 3 } }, async ({ node, publish }) => {
    const ann = { ...speaker("t"), publish: ["team/*"] };
    const say = (room: string, draft: DraftInit = {}) => publish(ann, publishRequest(toRoom(room), draft));
    await node.publish("t", toRoom("team/old"));
    expect(await say("team/old")).toEqual(["ok"]);
    expect(await Promise.all(Array.from({ length: 5 }, () => say("dm/ann/u1")))).toEqual(Array(5).fill(["ok"]));
    expect(await say("dm/ann/u2")).toEqual(["ok"]);
    expect(await say("team/new", { kind: Kind.EVENT, ttl: durationFromMs(1000) })).toEqual(["ok"]);
    for (const room of ["dm/ann/u3", "team/other"]) expect(await say(room), room).toEqual(["RATE_LIMITED"]);
    expect(await node.store.bounds([roomFeed("t", "dm/ann/u3").key])).toMatchObject([{ seq: 0 }]);
    expect((await node.unread(userOf("t", "u3"))).unread.total).toBe(0);

    expect(await say("dm/ann/u1"), "a room of ann's").toEqual(["ok"]);
    expect(await say("team/live", { kind: Kind.EVENT }), "stores nothing").toEqual(["ok"]);
    await node.publish("t", toRoom("dm/ann/u3"));
    expect(await say("dm/ann/u3"), "exists now").toEqual(["ok"]);
    expect(await publish(userOf("t", "bob"), publishRequest(toRoom("dm/ann/bob")))).toEqual(["ok"]);
    expect(await say("dm/ann/bob"), "bob was the first").toEqual(["ok"]);

    const [error] = await node.core.publisher.publish(ann, [publishRequest(toRoom("dm/ann/u4"))]);
    expect((error as ConnectError).rawMessage).toBe(
      "the user may be the first to publish to 72 rooms an hour, and 3 at once; repeat the request after the delay",
    );
    expect(retryAfterOf(error as ConnectError)).toBe(50_000);
    await node.pass(50_000);
    expect(await say("dm/ann/u4")).toEqual(["ok"]);
  });
});
