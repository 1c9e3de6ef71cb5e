/** grpc.health.v1: https://github.com/grpc/grpc/blob/master/doc/health-checking.md */
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import {
  Health as HealthService,
  HealthCheckResponse_ServingStatus as Status,
  type HealthCheckResponse_ServingStatus as StatusType,
} from "../../gen/grpc/health/v1/health_pb.ts";
import { fail } from "../errors.ts";
import type { PublicStreams } from "./public-streams.ts";

/** The health of the services of a server. */
export interface Health {
  /** Serves Check, Watch and List. */
  routes(router: ConnectRouter): void;
  /**
   * Sets the health of a service, and notifies its watchers; `""` is the server as a whole. Has no effect after
   * `shutdown`.
   */
  set(service: string, serving: boolean): void;
  /** Sets all services to NOT_SERVING for good: the server is shutting down. */
  shutdown(): void;
}

/** How long a watch stays open, in ms. Clients watch again when it ends. */
const watchMs = 3_600_000;

/** A request holds one name, and needs no token: strangers must not make the server read more. */
const options = { readMaxBytes: 4096, maxTimeoutMs: 2_147_483_647 };

/**
 * Creates the health of the server as a whole (`""`) and of these services. All are SERVING at first. `streams` limits the
 * watches; Check and List are never refused, because load balancers depend on them.
 */
export function createHealth(serviceNames: readonly string[], streams?: PublicStreams): Health {
  const statuses = new Map<string, StatusType>(["", ...serviceNames].map((name) => [name, Status.SERVING]));
  const wakers = new Set<() => void>();
  let down = false;

  /** Resolves at the next change of any service, or when the watch ends. */
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
      if (status === undefined)
        throw fail("SERVICE_UNKNOWN", "there is no such service; List returns the names of all services");
      return { status };
    },

    // Keeps only the status that it sent last: a slow watcher misses a change that was undone before it read again.
    async *watch({ service }, context) {
      const ending = streams?.begin(context, watchMs) ?? context.signal;
      let sent: StatusType | undefined;
      for (;;) {
        // Check before waiting: a signal that fired before the call began does not fire again.
        context.signal.throwIfAborted();
        if (ending.aborted) return;
        const status = statuses.get(service) ?? Status.SERVICE_UNKNOWN;
        if (status === sent) {
          await changeOrEnd(ending);
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
