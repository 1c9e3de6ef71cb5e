/** grpc.health.v1: https://github.com/grpc/grpc/blob/master/doc/health-checking.md */
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import {
  Health as HealthService,
  HealthCheckResponse_ServingStatus as Status,
  type HealthCheckResponse_ServingStatus as StatusType,
} from "../../gen/grpc/health/v1/health_pb.ts";
import { fail } from "../errors.ts";

/** What the server says of its services. */
export interface Health {
  /** Serves Check, Watch and List. */
  routes(router: ConnectRouter): void;
  /** Tells Check, List and all watchers; `""` is the server as a whole. Has no effect after `shutdown`. */
  set(service: string, serving: boolean): void;
  /** All services are NOT_SERVING from now on, whatever `set` says later: the server is going away. */
  shutdown(): void;
}

/** Requests hold one name, and the callers are strangers. */
const options = { readMaxBytes: 4096, maxTimeoutMs: 2_147_483_647 };

/** Health of the server as a whole (`""`) and of these services. All are serving at first. */
export function createHealth(serviceNames: readonly string[]): Health {
  const statuses = new Map<string, StatusType>(["", ...serviceNames].map((name) => [name, Status.SERVING]));
  const wakers = new Set<() => void>();
  let down = false;

  /** Resolves at the next change of any service, or when the call ends. */
  const changeOrEnd = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const wake = (): void => {
        wakers.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      wakers.add(wake);
      signal.addEventListener("abort", wake);
    });

  const put = (service: string, status: StatusType): void => {
    statuses.set(service, status);
    for (const wake of [...wakers]) wake();
  };

  const implementation: ServiceImpl<typeof HealthService> = {
    check({ service }) {
      const status = statuses.get(service);
      if (status === undefined) throw fail("SERVICE_UNKNOWN", "no such service; List names those that there are");
      return { status };
    },

    // Holds nothing but what it sent last: a slow watcher skips what changed back before it looked.
    async *watch({ service }, { signal }) {
      let sent: StatusType | undefined;
      for (;;) {
        // First of all: a signal that fired before the call came in does not fire again.
        signal.throwIfAborted();
        const status = statuses.get(service) ?? Status.SERVICE_UNKNOWN;
        if (status === sent) {
          await changeOrEnd(signal);
          continue;
        }
        sent = status;
        yield { status };
      }
    },

    list() {
      return { statuses: Object.fromEntries([...statuses].map(([service, status]) => [service, { status }])) };
    },
  };

  return {
    routes: (router) => void router.service(HealthService, implementation, options),
    set(service, serving) {
      if (!down) put(service, serving ? Status.SERVING : Status.NOT_SERVING);
    },
    shutdown() {
      down = true;
      for (const service of statuses.keys()) put(service, Status.NOT_SERVING);
    },
  };
}
