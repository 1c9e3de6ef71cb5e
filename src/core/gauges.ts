/** Values that a node has, such as open streams. They are read from its parts on request, and cost nothing otherwise. */
import type { TokenVerifier } from "../auth/verify-token.ts";
import type { GapRepair } from "../feeds/gap-repair.ts";
import type { HistoryReader } from "../feeds/history.ts";
import type { Hub } from "../feeds/hub.ts";
import type { RingBudget } from "../feeds/ring-budget.ts";
import { type Transport, transports } from "../metrics/counters.ts";
import type { Ports } from "../ports/index.ts";
import { type Metrics, type Reading, unlabelled } from "../ports/metrics.ts";
import type { Store, StoreFigures, StoreHealth } from "../ports/store.ts";
import type { StreamFigures, StreamRegistry } from "../stream/registry.ts";
import type { StoreClock } from "./store-clock.ts";

/** The parts of a node whose values are read. */
export interface GaugeSources {
  readonly streams: StreamRegistry;
  readonly hub: Hub;
  readonly rings: RingBudget;
  readonly history: HistoryReader;
  readonly gapRepair: GapRepair;
  readonly verifier: TokenVerifier;
  readonly storeClock: StoreClock | undefined;
}

/** Registers the values of a node and of its ports. */
export function registerGauges(
  metrics: Metrics,
  { streams, hub, rings, history, gapRepair, verifier, storeClock }: GaugeSources,
  { store, bus, presence }: Ports,
): void {
  // The pages of threads are added up, so the page of a process has the number of its event loops.
  figure(metrics, "gauge", "tidings_event_loops", "Event loops that serve.", () => 1);
  readStreams(metrics, streams);
  readHub(metrics, hub);
  readRings(metrics, rings);
  readHistory(metrics, history);
  readBus(metrics, bus, gapRepair);
  figure(metrics, "gauge", "tidings_presence_leases", "Connections that this node keeps online.", () => {
    return presence.leases;
  });
  readKeySet(metrics, verifier);
  readStore(metrics, store);
  const skew = "Seconds by which this machine's clock is ahead of the store's; 0 with the embedded store.";
  figure(metrics, "gauge", "tidings_store_clock_skew_seconds", skew, () => (storeClock?.skewMs ?? 0) / 1000);
}

/** Registers a value without labels. */
function figure(metrics: Metrics, kind: "gauge" | "counter", name: string, help: string, read: () => number): void {
  metrics.read({ name, help, labels: unlabelled }, kind, () => [[{}, read()]]);
}

function readStreams(metrics: Metrics, streams: StreamRegistry): void {
  const byTransport = (name: string, help: string, read: (figures: StreamFigures) => number) =>
    metrics.read({ name, help, labels: { transport: transports } }, "gauge", () =>
      [...streams.figures()].map(
        ([transport, figures]): Reading<{ transport: readonly Transport[] }> => [{ transport }, read(figures)],
      ),
    );
  byTransport("tidings_streams", "Open streams.", ({ open }) => open);
  byTransport(
    "tidings_streams_lagging",
    "Streams whose readers take nothing for now, or that read missed messages from the store.",
    ({ lagging }) => lagging,
  );
  byTransport(
    "tidings_stream_queued_bytes",
    "Bytes in transports that readers have not taken.",
    ({ queued }) => queued,
  );
  figure(metrics, "counter", "tidings_messages_delivered_total", "Messages written, once for each stream.", () => {
    return streams.delivered;
  });
  figure(metrics, "gauge", "tidings_streams_beginning", "Streams that were admitted and have no Hello yet.", () => {
    return streams.beginning();
  });
  figure(metrics, "gauge", "tidings_draining", "1 while the node drains, else 0.", () => {
    return streams.draining ? 1 : 0;
  });
}

function readHub(metrics: Metrics, hub: Hub): void {
  figure(metrics, "gauge", "tidings_hub_feeds", "Feeds that streams of this node follow.", () => hub.figures().feeds);
  figure(
    metrics,
    "gauge",
    "tidings_hub_followers",
    "Deliveries that one message to each followed feed would cause.",
    () => hub.figures().followers,
  );
  figure(metrics, "gauge", "tidings_hub_users", "Users with streams on this node.", () => hub.figures().users);
}

function readRings(metrics: Metrics, rings: RingBudget): void {
  figure(metrics, "gauge", "tidings_ring_bytes", "Memory of the recent messages of all feeds, estimated.", () => {
    return rings.bytes;
  });
  figure(metrics, "gauge", "tidings_ring_max_bytes", "The limit of that memory.", () => rings.maxBytes);
  figure(
    metrics,
    "counter",
    "tidings_ring_evictions_total",
    "Feeds whose recent messages were dropped from memory because the limit was reached; readers read the store.",
    () => rings.evictions,
  );
}

function readHistory(metrics: Metrics, history: HistoryReader): void {
  figure(metrics, "gauge", "tidings_store_pages_reading", "Reads of missed messages in flight, at most 32.", () => {
    return history.figures.reading;
  });
  figure(metrics, "gauge", "tidings_store_pages_waiting", "Reads of missed messages that wait for a slot.", () => {
    return history.figures.waiting;
  });
  figure(metrics, "gauge", "tidings_store_pages_bytes", "Memory of pages of missed messages, estimated.", () => {
    return history.figures.bytes;
  });
}

/** A store that does not report these values is usable, and its values are 0. */
function readStore(metrics: Metrics, store: Store): void {
  let health: StoreHealth = { state: "usable", reason: "" };
  store.watch?.((changed) => {
    health = changed;
  });
  const read = (kind: "gauge" | "counter", name: string, help: string, value: keyof StoreFigures) =>
    figure(metrics, kind, `tidings_store_${name}`, help, () => store.figures?.()[value] ?? 0);
  figure(metrics, "gauge", "tidings_store_usable", "1 while the store can be used, else 0.", () => {
    return health.state === "usable" ? 1 : 0;
  });
  read("counter", "trimmed_total", "Entries that retention by count has deleted.", "trimmed");
  read("gauge", "untrimmed", "Entries that retention by count has hidden and not deleted yet, estimated.", "untrimmed");
  read("counter", "trim_seconds_total", "Time that the store spent on deleting them, in seconds.", "trimSeconds");
  read("gauge", "wal_bytes", "Size of the write-ahead log of the embedded store.", "walBytes");
  read(
    "counter",
    "checkpoint_failures_total",
    "Times that the write-ahead log could not be written into the database.",
    "checkpointFailures",
  );
  read("counter", "restarts_total", "Times that the thread of the embedded store died and was restarted.", "restarts");
}

const directions = ["sent", "heard", "dropped"] as const;

function readBus(metrics: Metrics, bus: Ports["bus"], gapRepair: GapRepair): void {
  figure(metrics, "gauge", "tidings_bus_connected", "1 while the bus reaches the other nodes, else 0.", () => {
    return bus.figures?.().connected === false ? 0 : 1;
  });
  figure(metrics, "counter", "tidings_bus_losses_total", "Times that notices of other nodes were lost.", () => {
    return bus.figures?.().losses ?? 0;
  });
  figure(
    metrics,
    "counter",
    "tidings_bus_feeds_healed_total",
    "Feeds whose lost messages were found in the store.",
    () => gapRepair.repaired,
  );
  const naming = {
    name: "tidings_bus_messages_total",
    help: "Messages on the bus; each carries the notices of one event-loop tick.",
    labels: { direction: directions },
  };
  metrics.read(naming, "counter", () =>
    directions.map((direction) => [{ direction }, bus.figures?.()[direction] ?? 0]),
  );
}

function readKeySet(metrics: Metrics, verifier: TokenVerifier): void {
  const age = "Seconds since the key set of the tokens was last fetched; 0 where tokens are verified with secrets.";
  figure(metrics, "gauge", "tidings_key_set_age_seconds", age, () => verifier.keySetFigures?.age ?? 0);
  const failures = "Failed fetches of the key set of the tokens.";
  figure(metrics, "counter", "tidings_key_set_failures_total", failures, () => verifier.keySetFigures?.failures ?? 0);
}
