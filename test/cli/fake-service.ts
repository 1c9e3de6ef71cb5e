/** The services on a port of their own, whose answers a test chooses. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { AdminService } from "../../gen/tidings/v1/admin_service_pb.ts";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";

/** A fake service that runs. */
export interface FakeService extends AsyncDisposable {
  readonly url: string;
  /** The Authorization header of every request. */
  readonly tokens: string[];
  /** Cuts all connections without a word. */
  cut(): void;
}

/** Starts a fake service; methods without an implementation answer UNIMPLEMENTED. */
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
