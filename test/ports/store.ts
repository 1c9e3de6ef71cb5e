/**
 * The law of port Store (src/ports/store.ts) as tests, for every adapter. The tests of a law share one store, each with
 * tenants of its own; what touches all tenants, or the life of a store, opens one for itself.
 */
import { afterAll, beforeAll, describe } from "vitest";
import { appendLaw } from "./store-append.ts";
import { batchLaw } from "./store-batch.ts";
import type { MakeStore, OpenedStore, StoreBench } from "./store-bench.ts";
import { inboxLaw } from "./store-inbox.ts";
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

/** What an adapter's servers need. */
export interface Pace {
  /** Milliseconds that a test may take. */
  readonly timeout?: number;
  /** Random scripts that are run against the model. */
  readonly scripts?: number;
}

/** Runs the law against an adapter. */
export function storeContract(name: string, make: MakeStore, { timeout = 20_000, scripts = 8 }: Pace = {}): void {
  describe(`${name} holds the law of Store`, { timeout }, () => {
    let tenants = 0;
    const tenant = () => `tenant-${++tenants}`;
    const laws = [appendLaw, keyLaw, readLaw, recallLaw, retentionLaw, selectLaw, inboxLaw, readStateLaw, tenantLaw];
    for (const law of [...laws, batchLaw, replaceLaw, lifeLaw, modelLaw]) {
      describe(law, () => law(openBench(make, scripts, tenant)));
    }
  });
}

/** One store for the tests of one law: what those of the others left would slow down a server that scans. */
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
