/** The callers of a test, and the messages that they send. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TestContext } from "vitest";
import { type DraftSchema, Kind } from "../../../../gen/tidings/v1/message_pb.ts";
import {
  type Caller as Claims,
  newTenant,
  type ServerOptions,
  startServer,
  type TestServer,
} from "../../../support/server.ts";
import { Caller } from "../caller.ts";
import type { CallError, Connect, Driver } from "../driver.ts";
import { fetchDriver } from "../fetch.ts";

/** The fields of a draft. */
export type DraftInit = MessageInitShape<typeof DraftSchema>;

/** The callers of one test, in a tenant of its own. */
export interface People {
  readonly ann: Caller;
  readonly bob: Caller;
  readonly backend: Caller;
  /** The backend over the fastest transport, for the preparations of a test. */
  readonly helper: Caller;
  /** A caller without a token. */
  readonly nobody: Caller;
  /** A caller with a malformed token. */
  readonly forger: Caller;
}

/** A driver and its server. */
export interface Stage {
  readonly server: TestServer;
  readonly driver: Driver;
}

/** Creates the callers of a test. Their streams end with the test. `claims` are those of the users' tokens. */
export async function meet(
  { server, driver }: Stage,
  { onTestFinished }: TestContext,
  claims: Claims = {},
): Promise<People> {
  const tenant = newTenant();
  const caller = (token?: string) => new Caller(driver, token, onTestFinished);
  const [ann, bob, backend] = await Promise.all([
    server.token({ ...claims, tenant, sub: "ann" }),
    server.token({ ...claims, tenant, sub: "bob" }),
    server.token({ tenant, role: "service" }),
  ]);
  return {
    ann: caller(ann),
    bob: caller(bob),
    backend: caller(backend),
    helper: new Caller(fetchDriver(server.url, false), backend, onTestFinished),
    nobody: caller(),
    forger: caller("no.jwt.atall"),
  };
}

/** Starts a server that the test may stop, with a driver of its own. */
export async function ownStage(connect: Connect, options: ServerOptions, context: TestContext): Promise<Stage> {
  const server = await startServer(options);
  context.onTestFinished(() => server.stop());
  const driver = await connect(server.url);
  context.onTestFinished(() => driver.close());
  return { server, driver };
}

/** The audience of one user. */
export function toUser(user: string) {
  return { to: { case: "userId", value: user } } as const;
}

/** The audience of several users. */
export function toUsers(...userIds: string[]) {
  return { to: { case: "users", value: { userIds } } } as const;
}

/** The audience of the tenant. */
export const toTenant = { to: { case: "tenant", value: true } } as const;

/** The audience of a room. */
export function toRoom(room: string) {
  return { to: { case: "roomId", value: room } } as const;
}

/** A notification. */
export function note(title: string, more: DraftInit = {}): DraftInit {
  return { kind: Kind.NOTIFICATION, title, ...more };
}

/** The facts of an error for programs: its code, its reason, and the invalid field. */
export function factsOf(error: CallError): { code: string; reason: unknown; field: unknown } {
  const info = error.detail("google.rpc.ErrorInfo");
  const metadata = info?.metadata as { field?: string } | undefined;
  return { code: error.code, reason: info?.reason, field: metadata?.field };
}
