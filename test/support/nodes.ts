/** Several nodes on one store, with a bus between them that tests can cut. */
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import type { Bus, BusEvent, Notice } from "../../src/ports/bus.ts";
import type { FeedKey, StoreInfo } from "../../src/ports/store.ts";
import { Listeners } from "../../src/util/listeners.ts";
import { FakeClock } from "./clock.ts";
import { startTestCore, type TestCore, type TestCoreOptions } from "./core.ts";

/** A store in memory for several nodes. The first node opens it, and the last one closes it. */
export class SharedStore extends SqliteStore {
  #nodes = 0;
  #opened: Promise<StoreInfo> | undefined;

  constructor() {
    super({ folder: ":memory:", keep: 10_000 });
  }

  override open(): Promise<StoreInfo> {
    this.#nodes++;
    this.#opened ??= super.open();
    return this.#opened;
  }

  override async close(): Promise<void> {
    if (--this.#nodes === 0) await super.close();
  }
}

/** A bus whose notices to other nodes are lost while `cut` is set. It reports a loss only when a test calls `lose`. */
export class WireBus implements Bus {
  cut = false;
  readonly #listeners = new Listeners<BusEvent>();
  readonly #others: WireBus[] = [];

  /** Makes buses that hear each other. */
  static wire(count: number): WireBus[] {
    const buses = Array.from({ length: count }, () => new WireBus());
    for (const bus of buses) bus.#others.push(...buses.filter((other) => other !== bus));
    return buses;
  }

  publish(notices: readonly Notice[]): void {
    this.#hear(notices);
    if (!this.cut) for (const other of this.#others) other.#hear(notices);
  }

  /** Reports to its own node that notices of some feeds, by default of all, were lost. */
  lose(certain: boolean, touches: (feed: FeedKey) => boolean = () => true): void {
    this.#listeners.call({ type: "lost", touches, certain });
  }

  subscribe(listener: (heard: BusEvent) => void): () => void {
    return this.#listeners.add(listener);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  #hear(notices: readonly Notice[]): void {
    for (const notice of notices) this.#listeners.call(notice);
  }
}

/** Two nodes and their buses. */
export interface Pair {
  readonly near: TestCore;
  readonly far: TestCore;
  readonly nearBus: WireBus;
  readonly farBus: WireBus;
  readonly clock: FakeClock;
}

/** Runs `use` with two nodes on one store and one clock, and closes them. */
export async function withPair(use: (pair: Pair) => Promise<void>, options: TestCoreOptions = {}): Promise<void> {
  const clock = new FakeClock();
  const store = new SharedStore();
  const [nearBus, farBus] = WireBus.wire(2) as [WireBus, WireBus];
  const near = await startTestCore({ clock, store, bus: nearBus });
  const far = await startTestCore({ ...options, clock, store, bus: farBus });
  try {
    await use({ near, far, nearBus, farBus, clock });
  } finally {
    await Promise.all([near.close(), far.close()]);
  }
}
