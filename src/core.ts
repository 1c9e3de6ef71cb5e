import { Hub } from "./hub.ts";
import { type Authenticate, createAuthenticate } from "./identity.ts";
import { createIds } from "./ids.ts";
import { Inbox } from "./inbox.ts";
import { Lists } from "./lists.ts";
import type { Node } from "./node.ts";
import { OnlineCounts } from "./online.ts";
import type { Settings } from "./options.ts";
import { PageTokens } from "./page-token.ts";
import type { Ports } from "./ports.ts";
import { Publisher } from "./publish.ts";
import { Recaller } from "./recall.ts";
import { Retention } from "./retention.ts";
import { Streams } from "./streams.ts";
import type { Validate } from "./validate.ts";

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
export async function startCore(ports: Ports, validate: Validate, settings: Settings): Promise<Core> {
  const { store, bus, presence } = ports;
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
    publisher: new Publisher(ports, newId, settings),
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
