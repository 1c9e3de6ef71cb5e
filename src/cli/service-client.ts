/** Clients for the commands that call a running server. */
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AdminService } from "../../gen/tidings/v1/admin_service_pb.ts";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";
import type { CommandName, Values } from "./config/settings.ts";
import { UsageError } from "./config/usage-error.ts";

/** The deadline of one call, in ms. */
const callTimeoutMs = 30_000;

/** The token of --token. Throws a UsageError when it is not set. */
export function tokenOf({ token }: Values, command: CommandName): string {
  if (token === undefined) {
    throw new UsageError(`${command} needs a token: set TIDINGS_TOKEN; \`tidings token\` makes one`, command);
  }
  return token;
}

/** A client for the unary methods of the PushService at --url. Throws a UsageError when there is no token. */
export function pushClient(values: Values, command: CommandName): Client<typeof PushService> {
  return createClient(PushService, createTransport(values, command));
}

/** A client for the AdminService at --url. Throws a UsageError when there is no token. */
export function adminClient(values: Values, command: CommandName): Client<typeof AdminService> {
  return createClient(AdminService, createTransport(values, command));
}

function createTransport(values: Values, command: CommandName): Transport {
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
