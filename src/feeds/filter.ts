import type { SubscribeRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import { LruCache } from "../util/lru.ts";
import type { MessageSummary } from "../wire/frame.ts";

/** Which messages a stream asked for. An empty list lets everything through. */
export type Filter = Pick<SubscribeRequest, "kinds" | "categories" | "events">;

/** The most filters that are remembered. */
const maxFilters = 1000;

/**
 * The filters of a node's streams. Equal filters are one object, to save memory and so that a batch decides once for all of
 * them. Of more than 1,000 different filters, the least recently used are forgotten, and get a second object later.
 */
export class Filters {
  readonly #known = new LruCache<string, Filter>({ entries: maxFilters });

  /** Returns the filter of a request; undefined for one that lets everything through. */
  of({ kinds, categories, events }: Filter): Filter | undefined {
    if (kinds.length + categories.length + events.length === 0) return undefined;
    const key = JSON.stringify([kinds, categories, events]);
    const known = this.#known.get(key);
    if (known) return known;
    // Not the whole request, which holds positions and rooms as well.
    const filter = { kinds, categories, events };
    this.#known.set(key, filter);
    return filter;
  }
}

/** Reports whether a filter lets a message through. */
export function passes({ kinds, categories, events }: Filter, { kind, category, event }: MessageSummary): boolean {
  return (
    (kinds.length === 0 || kinds.includes(kind)) &&
    (categories.length === 0 || categories.includes(category)) &&
    (events.length === 0 || events.includes(event))
  );
}
