/** PushService and AdminService on a local port, with responses that a test chooses. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { AdminService } from "../../gen/tidings/v1/admin_service_pb.ts";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";

/** A running fake of both services. */
export interface FakeService extends AsyncDisposable {
  readonly url: string;
  /** The Authorization headers of all requests, in order. */
  readonly tokens: string[];
  /** Destroys all connections. */
  cut(): void;
}

/** Starts a fake of both services. Methods without an implementation fail with UNIMPLEMENTED. */
export async function serveFake(
  implementation: Partial<ServiceImpl<typeof PushService>>,
  admin: Partial<ServiceImpl<typeof AdminService>> = {},
): Promise<FakeService> {
  const tokens: string[] = [];
  const handler = connectNodeAdapter({
    routes: (router) => void router.service(PushService, implementation).service(AdminService, admin),
  });
  const open = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    tokens.push(request.headers.authorization ?? "");
    open.add(response);
    response.on("close", () => open.delete(response));
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tokens,
    cut() {
      for (const response of open) response.destroy();
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
