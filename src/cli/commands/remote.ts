/** Calls of a running server. */
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AdminService } from "../../../gen/tidings/v1/admin_service_pb.ts";
import { PushService } from "../../../gen/tidings/v1/push_service_pb.ts";
import type { CommandName, Values } from "../config/settings.ts";
import { UsageError } from "../config/usage-error.ts";

/** How long a call may take, in ms. */
const callTimeoutMs = 30_000;

/** The token to call with. Throws a UsageError without one. */
export function tokenOf({ token }: Values, command: CommandName): string {
  if (token === undefined) {
    throw new UsageError(`${command} needs a token: set TIDINGS_TOKEN; \`tidings token\` makes one`, command);
  }
  return token;
}

/** A client of the configured server, for calls that have one answer. */
export function remote(values: Values, command: CommandName): Client<typeof PushService> {
  return createClient(PushService, transport(values, command));
}

/** The same for operating it. */
export function remoteAdmin(values: Values, command: CommandName): Client<typeof AdminService> {
  return createClient(AdminService, transport(values, command));
}

function transport(values: Values, command: CommandName): Transport {
  const token = tokenOf(values, command);
  const authorize: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  return createConnectTransport({
    baseUrl: values.url,
    httpVersion: "1.1",
    interceptors: [authorize],
    defaultTimeoutMs: callTimeoutMs,
  });
}
