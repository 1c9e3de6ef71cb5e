import type { FlushQueue } from "../wire/flush-queue.ts";
import type { Ring } from "./ring.ts";

/** The part of the budget that the rings of one tenant may take. */
const tenantShare = 1 / 2;

/** The rings of one tenant that hold frames, the least recently used first. */
interface TenantRings {
  readonly rings: Set<Ring>;
  bytes: number;
}

/**
 * The memory of all rings of a node. Where they exceed the budget, or those of one tenant exceed its share, the least
 * recently used rings give up their frames, and their readers read from the Store. The budget is settled at the end of a
 * flush, when each stream that keeps up has taken its frames: within one event-loop tick, rings hold what arrives in it.
 */
export class RingBudget {
  readonly #maxBytes: number;
  readonly #flushQueue: Pick<FlushQueue, "afterFlush">;
  /** The rings that hold frames, the least recently used first. */
  readonly #rings = new Set<Ring>();
  readonly #tenants = new Map<string, TenantRings>();
  #touched: Ring[] = [];
  #bytes = 0;
  #evictions = 0;

  constructor(maxBytes: number, flushQueue: Pick<FlushQueue, "afterFlush">) {
    this.#maxBytes = maxBytes;
    this.#flushQueue = flushQueue;
  }

  /** Bytes that the rings take, as of the last flush. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The most bytes that the rings may take after a flush. */
  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** The number of times that a ring gave up its frames for want of memory. */
  get evictions(): number {
    return this.#evictions;
  }

  /** A ring was used: its memory is counted at the end of the flush. The ring calls this once until it is settled. */
  touch(ring: Ring): void {
    if (this.#touched.push(ring) === 1) this.#flushQueue.afterFlush(() => this.#settle());
  }

  /** A ring has no reader any more. */
  drop(ring: Ring): void {
    ring.clear();
    this.#count(ring);
  }

  #settle(): void {
    const touched = this.#touched;
    this.#touched = [];
    for (const ring of touched) {
      ring.settle();
      this.#count(ring);
    }
    for (const { tenant } of touched) {
      const rings = this.#tenants.get(tenant);
      if (rings) this.#evict(rings.rings, () => rings.bytes > this.#maxBytes * tenantShare);
    }
    this.#evict(this.#rings, () => this.#bytes > this.#maxBytes);
  }

  #evict(rings: ReadonlySet<Ring>, isOver: () => boolean): void {
    for (const ring of rings) {
      if (!isOver()) return;
      this.#evictions++;
      ring.clear();
      this.#count(ring);
    }
  }

  /** Counts the bytes of a ring as they are now, and the ring as the most recently used one. */
  #count(ring: Ring): void {
    const { tenant, bytes } = ring;
    const grown = bytes - ring.countedBytes;
    ring.countedBytes = bytes;
    this.#bytes += grown;
    let rings = this.#tenants.get(tenant);
    if (!rings) {
      if (bytes === 0) return;
      rings = { rings: new Set(), bytes: 0 };
      this.#tenants.set(tenant, rings);
    }
    rings.bytes += grown;
    this.#rings.delete(ring);
    rings.rings.delete(ring);
    if (bytes > 0) {
      this.#rings.add(ring);
      rings.rings.add(ring);
    } else if (rings.rings.size === 0) this.#tenants.delete(tenant);
  }
}
