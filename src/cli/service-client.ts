/** Clients for the commands that call a running server. */
import { type Client, Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AdminService } from "../../gen/tidings/v1/admin_service_pb.ts";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";
import { Tokens } from "../client/connection/tokens.ts";
import type { Context } from "./command.ts";
import { defaultUrl } from "./config/client-settings.ts";
import type { CommandName, Values } from "./config/settings.ts";
import { type Credential, credentialOf } from "./config/token-source.ts";

/** The deadline of one call, in ms. */
const callTimeoutMs = 30_000;

/** What a command needs to call a server. */
type Caller = Pick<Context, "values" | "deps">;

/** The URL of the server. */
export function serverUrl({ url = defaultUrl }: Values): string {
  return url;
}

/** A client for the unary methods of the PushService. Throws a UsageError when there is no token. */
export function pushClient(caller: Caller, command: CommandName): Client<typeof PushService> {
  return createClient(PushService, createTransport(caller, command));
}

/** A client for the AdminService. Throws a UsageError when there is no token. */
export function adminClient(caller: Caller, command: CommandName): Client<typeof AdminService> {
  return createClient(AdminService, createTransport(caller, command));
}

function createTransport({ values, deps }: Caller, command: CommandName): Transport {
  return createConnectTransport({
    baseUrl: serverUrl(values),
    httpVersion: "1.1",
    interceptors: [authorizeWith(credentialOf(values, command, deps))],
    defaultTimeoutMs: callTimeoutMs,
  });
}

/** Sends the token with each call, and repeats a call once with a fresh token when the server refuses the first one. */
function authorizeWith({ get, canChange }: Credential): Interceptor {
  const tokens = new Tokens(get);
  return (next) => async (request) => {
    const send = async () => {
      const token = await tokens.get();
      request.header.set("authorization", `Bearer ${token}`);
      try {
        return await next(request);
      } catch (error) {
        if (ConnectError.from(error).code === Code.Unauthenticated) tokens.refuse(token);
        throw error;
      }
    };
    return send().catch((error: unknown) => {
      if (!canChange || ConnectError.from(error).code !== Code.Unauthenticated) throw error;
      return send();
    });
  };
}
