/**
 * The law of port Store, as it stands in its types, as tests. The tests of a law share one store and have tenants of their
 * own; a test that touches all tenants, or closes the store, opens one for itself.
 */
import { afterAll, beforeAll, describe } from "vitest";
import { appendLaw } from "./store-append.ts";
import { batchLaw } from "./store-batch.ts";
import type { MakeStore, OpenedStore, StoreBench } from "./store-bench.ts";
import { longCountLaw } from "./store-count.ts";
import { countLaw, findLaw } from "./store-inbox.ts";
import { keyLaw } from "./store-keys.ts";
import { lifeLaw } from "./store-life.ts";
import { modelLaw } from "./store-model.ts";
import { readLaw } from "./store-read.ts";
import { readStateLaw } from "./store-read-state.ts";
import { recallLaw } from "./store-recall.ts";
import { replaceLaw } from "./store-replace.ts";
import { retentionLaw } from "./store-retention.ts";
import { selectLaw } from "./store-select.ts";
import { tenantLaw } from "./store-tenants.ts";
import { usageLaw } from "./store-usage.ts";

/** The parts of the law, by the subject of their tests. */
const laws: Readonly<Record<string, (bench: StoreBench) => void>> = {
  append: appendLaw,
  "a key": keyLaw,
  read: readLaw,
  recall: recallLaw,
  retention: retentionLaw,
  select: selectLaw,
  countNotifications: countLaw,
  "countNotifications of a long feed": longCountLaw,
  find: findLaw,
  "a read state": readStateLaw,
  tenants: tenantLaw,
  "a batch": batchLaw,
  replace: replaceLaw,
  "what a tenant has": usageLaw,
  "the store": lifeLaw,
  "the whole": modelLaw,
};

/** Options of storeContract, for stores on slow servers. */
export interface StoreContractOptions {
  /** How long a test may take, in milliseconds. Default 20,000. */
  readonly timeout?: number;
  /** How many random scripts are compared with a model of the law. Default 8. */
  readonly scripts?: number;
}

/**
 * Registers the tests of port Store for an adapter. `make` opens an empty store that keeps a number of messages per feed;
 * it is called once for each part of the law, and once for each test that needs a store of its own.
 */
export function storeContract(
  name: string,
  make: MakeStore,
  { timeout = 20_000, scripts = 8 }: StoreContractOptions = {},
): void {
  describe(`${name}:`, { timeout }, () => {
    let tenants = 0;
    const tenant = () => `tenant-${++tenants}`;
    for (const [subject, law] of Object.entries(laws)) {
      describe(subject, () => law(openBench(make, scripts, tenant)));
    }
  });
}

/** Opens a store for the tests of one law. Entries of all laws in one would slow down a server that scans. */
function openBench(make: MakeStore, scripts: number, tenant: () => string): StoreBench {
  let shared: OpenedStore;
  beforeAll(async () => {
    shared = await make(10_000);
  });
  afterAll(() => shared.close());
  return {
    scripts,
    get store() {
      return shared.store;
    },
    tenant,
    async alone(keep, use) {
      const opened = await make(keep);
      try {
        await use(opened);
      } finally {
        await opened.close();
      }
    },
  };
}
