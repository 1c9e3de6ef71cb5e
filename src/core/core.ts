import type { Logger } from "pino";
import { BlockList } from "../auth/block-list.ts";
import type { Identity } from "../auth/identity.ts";
import { type Authenticate, TokenVerifier } from "../auth/verify-token.ts";
import type { Validate } from "../contract/validate.ts";
import { Filters } from "../feeds/filter.ts";
import { GapRepair } from "../feeds/gap-repair.ts";
import { HistoryReader } from "../feeds/history.ts";
import { Hub } from "../feeds/hub.ts";
import { RingBudget } from "../feeds/ring-budget.ts";
import { StoredMessages } from "../feeds/stored-messages.ts";
import { BatchList } from "../inbox/batch-list.ts";
import { Inbox } from "../inbox/inbox.ts";
import { Lists } from "../inbox/lists.ts";
import { PageTokens } from "../inbox/page-token.ts";
import { ReadStateService } from "../inbox/read-state-service.ts";
import { Limits } from "../limits/limits.ts";
import { Quotas } from "../limits/quotas.ts";
import { Counters } from "../metrics/counters.ts";
import type { Settings } from "../options.ts";
import type { Clock } from "../ports/clock.ts";
import type { Ports } from "../ports/index.ts";
import { type Metrics, noMetrics } from "../ports/metrics.ts";
import { noTracer, type Tracer } from "../ports/tracer.ts";
import { OnlineCounts } from "../presence/online-counts.ts";
import { Publisher } from "../publish/publisher.ts";
import { Recaller } from "../publish/recall.ts";
import { type Authorize, RoomAccess } from "../rooms/access.ts";
import { Alerts } from "../stream/alerts.ts";
import type { StreamContext } from "../stream/context.ts";
import { Disconnector } from "../stream/disconnect.ts";
import { StreamRegistry } from "../stream/registry.ts";
import type { FirstOfThreads } from "../util/first-of-threads.ts";
import { guardedClock, type Report, warn } from "../util/guard.ts";
import type { ProcessCounts } from "../util/process-counts.ts";
import { SteadyClock, type SteadyClockEvents } from "../util/steady-clock.ts";
import { createIds } from "../util/uuid.ts";
import { FlushQueue } from "../wire/flush-queue.ts";
import { reportOnce } from "../wire/unencodable.ts";
import { Admission } from "./admission.ts";
import { registerGauges } from "./gauges.ts";
import { Retention } from "./retention.ts";
import { StoreClock } from "./store-clock.ts";

/** The parts of a node that its streams share, and those that only transports and tests need. */
export interface CoreContext extends StreamContext {
  readonly gapRepair: GapRepair;
  readonly rings: RingBudget;
  readonly limits: Limits;
  readonly tracer: Tracer;
}

/** What a transport (RPC or WebSocket) calls. */
export interface Core {
  readonly context: CoreContext;
  readonly authenticate: Authenticate;
  /**
   * As `authenticate`, for a caller that opens a stream from an address, undefined for one without a limit. Rejects with
   * TOO_MANY_NEW_STREAMS before the store is asked.
   */
  admit(token: string | undefined, address?: string): Promise<Identity>;
  /** Verifies tokens with these secrets from now on, and ends the streams of secrets that are no longer among them. */
  replaceSecrets(secrets: readonly string[]): void;
  readonly publisher: Publisher;
  readonly recaller: Recaller;
  readonly disconnector: Disconnector;
  readonly lists: Lists;
  readonly validate: Validate;
  /** Says go_away on all streams, with returns of their clients spread over `drainMs`; resolves when all have ended. */
  drain(): Promise<void>;
  /** Ends every stream, then closes the ports. Call it after `drain`. */
  close(): Promise<void>;
}

/** How a node is observed. */
export interface Watch {
  readonly meter: Metrics;
  /** Registered with that meter. */
  readonly counters: Counters;
  readonly tracer: Tracer;
}

/** The parts besides their ports that the threads of a process share. */
export interface ThreadShare {
  /** Counts for the limits of the process. */
  readonly processCounts?: ProcessCounts;
  /** Chooses the thread that alerts a user. */
  readonly first?: FirstOfThreads;
}

const unwatched: Watch = { meter: noMetrics, counters: new Counters(noMetrics, []), tracer: noTracer };

/** Opens the store and starts a node on its ports. Rejects when the store cannot be opened. */
export async function startCore(
  ports: Ports,
  validate: Validate,
  given: Settings,
  authorize?: Authorize,
  { counters, tracer, meter }: Watch = unwatched,
  { processCounts, first }: ThreadShare = {},
): Promise<Core> {
  const { store, bus, presence } = ports;
  const { random, logger } = given;
  const report: Report = logger ? (error) => logger.error({ err: error }, "a callback failed") : warn;
  const localClock = guardedClock(given.clock, report);
  const { secret, timeoutMs: storeTimeoutMs } = await store.open();
  // Throws for a store that does not count, before anything has begun that would have to be closed.
  const quotas = new Quotas(store, given.quotas, { clock: localClock, counters });
  const storeClock = store.now && (await StoreClock.start(localClock, store, logger));
  const clock: Clock = storeClock ?? localClock;
  const settings: Settings = { ...given, clock };
  const steadyClock = new SteadyClock(clock, clockEvents(logger));
  const newId = createIds(clock, random);
  const flushQueue = new FlushQueue(settings.defer, report);
  const reportUnencodable = reportOnce((id) =>
    logger?.error({ messageId: id }, "a message cannot be encoded in JSON; readers get it without its payload"),
  );
  const rings = new RingBudget(settings.ringBytes, flushQueue);
  const hub = new Hub(bus, { budget: rings, flushQueue, tracer, report: reportUnencodable, processCounts });
  const gapRepair = new GapRepair(bus, hub, store, clock, random);
  const limits = new Limits(ports.limiter, settings.limits, { counters, random });
  const access = new RoomAccess(authorize, clock, settings.directRooms);
  const states = new ReadStateService(store, bus, access, steadyClock, settings.newcomerDays);
  const inbox = new Inbox(store, states, bus, clock);
  const tokens = new PageTokens(secret);
  const messages = new StoredMessages(logger, reportUnencodable);
  const batches = new BatchList(store, tokens, clock, messages);
  const online = new OnlineCounts(presence, clock);
  const streams = new StreamRegistry();
  const unwatch = presence.watch((change) => {
    if (change.type === "kicked") streams.kick(change.connection, change.room);
  });
  const history = new HistoryReader(store, bus, clock, messages);
  const blockList = new BlockList(store, bus, steadyClock);
  const admission = new Admission(settings.admission, {
    clock,
    random,
    beginning: (tenant) => streams.beginning(tenant),
  });
  // Tokens come from other machines than the store: their times are compared with this one's clock.
  const verifier = new TokenVerifier(settings.auth, {
    clock: localClock,
    random,
    logger,
    withdrawn: () => streams.recheckKeys(),
  });
  const unblocked = async (identity: Identity) => {
    await blockList.check(identity);
    return identity;
  };
  const context: CoreContext = {
    settings,
    store,
    presence,
    access,
    states,
    hub,
    inbox,
    online,
    streams,
    history,
    messages,
    flushQueue,
    alerts: new Alerts(settings.alertMs, first),
    filters: new Filters(),
    blockList,
    counters,
    newId,
    expiryOf: ({ expireTime }) => expireTime + clock.now() - localClock.now(),
    gapRepair,
    rings,
    limits,
    tracer,
  };
  registerGauges(meter, { ...context, verifier, storeClock }, ports);
  const retention = new Retention(store, steadyClock, settings.retention.days, logger);
  return {
    context,
    validate,
    replaceSecrets: (secrets) => verifier.replaceSecrets(secrets),
    authenticate: async (token) => unblocked(await verifier.authenticate(token)),
    admit: async (token, address) => {
      // Verify first: a bad token must not use up the rate limit of others. Then the narrowest limit: a caller over it must
      // not use up those of the tenant and the node.
      const identity = await verifier.authenticate(token);
      limits.newStream(identity, address);
      const checked = admission.admit(identity.tenant);
      return unblocked(identity).finally(checked);
    },
    disconnector: new Disconnector(blockList, bus, presence, streams),
    publisher: new Publisher(
      ports,
      {
        access,
        states,
        limits,
        quotas,
        storeTimeoutMs,
        counters,
        tracer,
        steadyClock,
      },
      newId,
      settings,
    ),
    recaller: new Recaller(store, bus, steadyClock),
    lists: new Lists(store, { inbox, states, access, batches, messages }, tokens, clock),
    drain: () => streams.drain(() => Math.round(random.fraction() * settings.drainMs)),
    async close() {
      storeClock?.close();
      retention.close();
      unwatch();
      blockList.close();
      verifier.close();
      states.close();
      inbox.close();
      history.close();
      streams.close();
      online.close();
      gapRepair.close();
      hub.close();
      await Promise.all([bus.close(), presence.close(), ports.limiter?.close()]);
      await store.close();
    },
  };
}

function clockEvents(logger: Logger | undefined): SteadyClockEvents {
  return {
    jumped(milliseconds) {
      const seconds = Math.round(milliseconds / 1000);
      if (seconds < 0) logger?.warn({ seconds }, "the clock was set back");
      else
        logger?.warn(
          { seconds },
          "the clock was set ahead; nothing is deleted by age until that has lasted for ten minutes",
        );
    },
    believed: () => logger?.info("the clock has run evenly for ten minutes; deletion by age goes on"),
  };
}
