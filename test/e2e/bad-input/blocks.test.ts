/** AdminService.Disconnect: the streams that it ends, the users and tokens that it blocks, and for how long. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { AdminService, type DisconnectRequestSchema, PushService } from "../../../src/gen.ts";
import { type Caller, newTenant, startServer, type TestServer } from "../../support/server.ts";
import { factsOf, note, toUser } from "../interop/scenario/people.ts";
import { callerOf, enter, nextTitles, transportNames } from "./readers.ts";
import { methods, protocolsOf, refusalOf } from "./wire.ts";

const yearMs = 366 * 86_400_000;
const inAnHour = () => timestampFromMs(Date.now() + 3_600_000);
let server: TestServer;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => server.stop());

/** Calls Disconnect for ann of the tenant, and returns how many streams it ended. */
async function disconnect(
  tenant: string,
  request: Omit<MessageInitShape<typeof DisconnectRequestSchema>, "$typeName">,
): Promise<number> {
  const authorization = `Bearer ${await server.token({ tenant, role: "service" })}`;
  const admin = createClient(AdminService, createGrpcTransport({ baseUrl: server.url }));
  const { connections } = await admin.disconnect({ userId: "ann", ...request }, { headers: { authorization } });
  return connections;
}

/** The error of a call of ann's, or `undefined` when it succeeds. */
async function errorOf(tenant: string, jti?: string): Promise<ConnectError | undefined> {
  const token = await server.token({ tenant, ...(jti === undefined ? {} : { jti }) });
  const client = createClient(PushService, createGrpcTransport({ baseUrl: server.url }));
  const call = client.listUnread({}, { headers: { authorization: `Bearer ${token}` } });
  return call.then(
    () => undefined,
    (error: unknown) => ConnectError.from(error),
  );
}

async function reasonFor(tenant: string, jti?: string): Promise<string | undefined> {
  return (await errorOf(tenant, jti))?.findDetails(ErrorInfoSchema)[0]?.reason;
}

describe.each(transportNames)("Over %s, Disconnect", (transport) => {
  test("ends the streams of the user with the given sentence, and no other streams", async ({ onTestFinished }) => {
    const tenant = newTenant();
    const other = newTenant();
    const open = async (who: Caller) =>
      (await enter(await callerOf(server, transport, who, onTestFinished), {})).stream;
    const mine = await Promise.all([open({ tenant }), open({ tenant })]);
    const others = await Promise.all([open({ tenant, sub: "bob" }), open({ tenant: other })]);
    expect(await disconnect(tenant, { reason: "signed out" })).toBe(2);
    for (const stream of mine) {
      const end = await stream.end();
      expect(factsOf(end)).toMatchObject({ code: "permission_denied", reason: "DISCONNECTED" });
      expect(end.message).toBe("signed out");
    }
    await server.client({ tenant, role: "service" }).publish({ audience: toUser("bob"), message: note("still here") });
    await server
      .client({ tenant: other, role: "service" })
      .publish({ audience: toUser("ann"), message: note("still here") });
    for (const stream of others) expect(await nextTitles(stream, 1)).toEqual(["still here"]);
    // Without block_until there is no block.
    await open({ tenant });
  });

  test("blocks a user until the block is lifted", async ({ onTestFinished }) => {
    const tenant = newTenant();
    const ann = await callerOf(server, transport, { tenant }, onTestFinished);
    const { stream } = await enter(ann, {});
    await disconnect(tenant, { reason: "blocked", blockUntil: inAnHour() });
    expect(factsOf(await stream.end())).toMatchObject({ reason: "DISCONNECTED" });
    const blocked = await ann.subscribe().end();
    expect(factsOf(blocked)).toMatchObject({ code: "permission_denied", reason: "CALLER_BLOCKED" });
    expect(blocked.message).toBe("blocked");
    await disconnect(tenant, { blockUntil: timestampFromMs(Date.now() - 1) });
    await enter(ann, {});
  });
});

test("Every method refuses a blocked user, in every protocol", async () => {
  const tenant = newTenant();
  const authorization = `Bearer ${await server.token({ tenant })}`;
  await disconnect(tenant, { blockUntil: inAnHour() });
  for (const [protocol, transport] of protocolsOf(server.url)) {
    for (const method of methods.keys()) {
      const refused = await refusalOf(transport, method, {}, { authorization });
      expect
        .soft(refused, `${method} over ${protocol}`)
        .toMatchObject({ code: "PermissionDenied", reason: "CALLER_BLOCKED", domain: "tidings" });
    }
  }
});

test("A block of one token does not affect the user's other tokens and streams", async ({ onTestFinished }) => {
  const tenant = newTenant();
  const lost = await callerOf(server, "gRPC", { tenant, jti: "lost" }, onTestFinished);
  const kept = await callerOf(server, "gRPC", { tenant, jti: "kept" }, onTestFinished);
  const [{ stream }, { stream: goesOn }] = await Promise.all([enter(lost, {}), enter(kept, {})]);
  expect(await disconnect(tenant, { tokenId: "lost", blockUntil: inAnHour() })).toBe(1);
  expect(factsOf(await stream.end())).toMatchObject({ reason: "DISCONNECTED" });
  expect(await reasonFor(tenant, "lost")).toBe("CALLER_BLOCKED");
  expect(await reasonFor(tenant, "kept")).toBeUndefined();
  expect(await reasonFor(tenant)).toBeUndefined();
  await server.client({ tenant, role: "service" }).publish({ audience: toUser("ann"), message: note("still here") });
  expect(await nextTitles(goesOn, 1)).toEqual(["still here"]);
});

test("A block with a time in the past is lifted, and one far ahead ends after ten years", async () => {
  const tenant = newTenant();
  for (const far of [Date.parse("9999-12-31T23:59:59Z"), 8.64e15]) {
    await disconnect(tenant, { blockUntil: timestampFromMs(far) });
    const blocked = await errorOf(tenant);
    expect(blocked?.rawMessage).toBe("the user is blocked");
    const until = Date.parse(blocked?.findDetails(ErrorInfoSchema)[0]?.metadata.until ?? "");
    expect(until).toBeGreaterThan(Date.now() + 9 * yearMs);
    expect(until).toBeLessThanOrEqual(Date.now() + 10 * yearMs);
  }
  for (const past of [0, -62_135_596_800_000, Date.now()]) {
    await disconnect(tenant, { blockUntil: inAnHour() });
    expect(await reasonFor(tenant)).toBe("CALLER_BLOCKED");
    await disconnect(tenant, { blockUntil: timestampFromMs(past) });
    expect(await reasonFor(tenant)).toBeUndefined();
  }
});

test("A user has at most 100 blocked tokens, and can be blocked as a whole even then", async () => {
  const tenant = newTenant();
  for (let token = 0; token < 100; token++) await disconnect(tenant, { tokenId: `t${token}`, blockUntil: inAnHour() });
  const headers = { authorization: `Bearer ${await server.token({ tenant, role: "service" })}` };
  const request = { userId: "ann", tokenId: "t100", blockUntil: "2100-01-01T00:00:00Z" };
  for (const [protocol, transport] of protocolsOf(server.url)) {
    const refusal = await refusalOf(transport, "Disconnect", request, headers);
    expect
      .soft(refusal, protocol)
      .toMatchObject({ code: "ResourceExhausted", reason: "TOO_MANY_BLOCKS", field: "token_id" });
  }
  expect(await reasonFor(tenant)).toBeUndefined();
  await disconnect(tenant, { blockUntil: inAnHour() });
  expect(await reasonFor(tenant)).toBe("CALLER_BLOCKED");
  for (const tokenId of ["", "t99"]) await disconnect(tenant, { tokenId, blockUntil: timestampFromMs(0) });
  expect(await reasonFor(tenant, "t99")).toBeUndefined();
});
