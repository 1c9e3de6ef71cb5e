import type { Bus } from "./bus.ts";
import { Hub } from "./hub.ts";
import { type Authenticate, createAuthenticate } from "./identity.ts";
import { createIds } from "./ids.ts";
import { Inbox } from "./inbox.ts";
import { Lists } from "./lists.ts";
import type { Node } from "./node.ts";
import { OnlineCounts } from "./online.ts";
import type { Settings } from "./options.ts";
import { PageTokens } from "./page-token.ts";
import type { Presence } from "./presence.ts";
import { Publisher } from "./publish.ts";
import { Recaller } from "./recall.ts";
import { Retention } from "./retention.ts";
import type { Store } from "./store.ts";
import { Streams } from "./streams.ts";
import type { Validate } from "./validate.ts";

/** The three ports of a node. */
export interface Ports {
  readonly store: Store;
  readonly bus: Bus;
  readonly presence: Presence;
}

/** Everything that a transport (RPC or WebSocket) calls. */
export interface Core {
  readonly node: Node;
  readonly authenticate: Authenticate;
  readonly publisher: Publisher;
  readonly recaller: Recaller;
  readonly lists: Lists;
  readonly validate: Validate;
  /** Tells all streams to go, and their clients to return spread over `drainMs`; answers when they have gone. */
  drain(): Promise<void>;
  /** Closes the ports; after `drain`. */
  close(): Promise<void>;
}

/** Opens the store and starts a node on its ports. */
export async function startCore({ store, bus, presence }: Ports, validate: Validate, settings: Settings): Promise<Core> {
  const { clock, random, logger } = settings;
  const { secret } = await store.open();
  const newId = createIds(clock, random);
  const hub = new Hub(bus);
  const inbox = new Inbox(store, bus, clock, settings.newcomerDays);
  const online = new OnlineCounts(presence, clock);
  const node: Node = { settings, store, presence, hub, inbox, online, streams: new Streams(), newId };
  const retention = new Retention(store, clock, settings.retention.days, logger);
  return {
    node,
    validate,
    authenticate: createAuthenticate(settings.auth, clock),
    publisher: new Publisher(store, bus, presence, clock, newId, settings.maxMessageBytes),
    recaller: new Recaller(store, bus),
    lists: new Lists(store, inbox, new PageTokens(secret), clock),
    drain: () => node.streams.drain(() => Math.round(random.fraction() * settings.drainMs)),
    async close() {
      retention.close();
      node.streams.close();
      online.close();
      hub.close();
      await Promise.all([bus.close(), presence.close()]);
      await store.close();
    },
  };
}
