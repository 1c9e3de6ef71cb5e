/** What a node has, read from its parts when somebody asks: none of it costs anything while nobody does. */
import { type Transport, transports } from "../metrics/counters.ts";
import type { Ports } from "../ports/index.ts";
import { type Metrics, type Reading, unlabelled } from "../ports/metrics.ts";
import type { StreamContext } from "../stream/context.ts";
import type { StreamFigures } from "../stream/registry.ts";

/** Lets a meter read a node. */
export function registerGauges(meter: Metrics, node: StreamContext, ports: Ports): void {
  readStreams(meter, node);
  readHub(meter, node);
  readPages(meter, node);
  readPorts(meter, ports, node);
}

/** A figure without labels. */
function figure(meter: Metrics, kind: "gauge" | "counter", name: string, help: string, read: () => number): void {
  meter.read({ name, help, labels: unlabelled }, kind, () => [[{}, read()]]);
}

function readStreams(meter: Metrics, { streams }: StreamContext): void {
  const byTransport = (name: string, help: string, read: (figures: StreamFigures) => number) =>
    meter.read({ name, help, labels: { transport: transports } }, "gauge", () =>
      [...streams.figures()].map(
        ([transport, figures]): Reading<{ transport: readonly Transport[] }> => [{ transport }, read(figures)],
      ),
    );
  byTransport("tidings_streams", "Streams that are open.", ({ open }) => open);
  byTransport(
    "tidings_streams_lagging",
    "Streams whose readers take nothing for now, or that are caught up from the store.",
    ({ lagging }) => lagging,
  );
  byTransport("tidings_stream_queued_bytes", "Bytes that wait in transports for readers.", ({ queued }) => queued);
  figure(meter, "counter", "tidings_messages_delivered_total", "Messages written to streams, each time.", () => {
    return streams.delivered;
  });
  figure(meter, "gauge", "tidings_streams_beginning", "Streams that were taken in and have had no Hello.", () => {
    return streams.beginning();
  });
  figure(meter, "gauge", "tidings_draining", "1 while the node tells its streams to go, else 0.", () => {
    return streams.draining ? 1 : 0;
  });
}

function readHub(meter: Metrics, { hub }: StreamContext): void {
  figure(meter, "gauge", "tidings_hub_feeds", "Feeds that streams of this node follow.", () => hub.figures().feeds);
  figure(meter, "gauge", "tidings_hub_followers", "Streams by feed: what one message to each feed would reach.", () => {
    return hub.figures().followers;
  });
  figure(meter, "gauge", "tidings_hub_users", "Users with streams on this node.", () => hub.figures().users);
  figure(meter, "gauge", "tidings_ring_bytes", "Memory that the recent messages of all feeds take, about.", () => {
    return hub.figures().bytes;
  });
}

function readPages(meter: Metrics, { history: pages }: StreamContext): void {
  figure(meter, "gauge", "tidings_store_pages_reading", "Reads of the past that are under way, at most 32.", () => {
    return pages.figures.reading;
  });
  figure(meter, "gauge", "tidings_store_pages_waiting", "Reads of the past that wait for their turn.", () => {
    return pages.figures.waiting;
  });
  figure(meter, "gauge", "tidings_store_pages_bytes", "Memory that pages of the past take, about.", () => {
    return pages.figures.bytes;
  });
}

const directions = ["sent", "heard", "dropped"] as const;

function readPorts(meter: Metrics, { bus, presence }: Ports, { gapRepair: healing }: StreamContext): void {
  figure(meter, "gauge", "tidings_bus_connected", "1 while the bus reaches the other nodes, else 0.", () => {
    return bus.figures?.().connected === false ? 0 : 1;
  });
  figure(meter, "counter", "tidings_bus_losses_total", "Times that notices of other nodes were not heard.", () => {
    return bus.figures?.().losses ?? 0;
  });
  figure(
    meter,
    "counter",
    "tidings_bus_feeds_healed_total",
    "Feeds whose lost messages were found in the store.",
    () => {
      return healing.behind;
    },
  );
  const messages = { name: "tidings_bus_messages_total", help: "Messages of the bus; each has all notices of a turn." };
  meter.read({ ...messages, labels: { direction: directions } }, "counter", () =>
    directions.map((direction) => [{ direction }, bus.figures?.()[direction] ?? 0]),
  );
  figure(meter, "gauge", "tidings_presence_leases", "Connections that this node keeps online.", () => presence.leases);
}
