import type { TenantUsage } from "../../ports/store.ts";
import type { BackgroundTask } from "./background.ts";
import type { Database } from "./database.ts";

/** Rows that are read between two looks at the clock. */
const chunk = 200;

interface Usage {
  bytes: number;
  feeds: number;
}

/** A change of the transaction that is running. */
type Change = readonly [tenant: string, bytes: number, feeds: number];

/**
 * Counts what each tenant has in the store, in memory, from the first question on: what is there is added up in slices
 * between calls, and what changes meanwhile is added and subtracted. A row that the slices have not reached yet is counted
 * when they do. A store that nobody asks counts nothing.
 */
export class UsageCount implements BackgroundTask {
  readonly pause = 4;
  readonly #db: Database;
  readonly #tenants = new Map<string, Usage>();
  #changes: Change[] = [];
  #isCounting = false;
  /** All messages up to this row, and all feeds up to this id, are counted. */
  #messages = 0;
  #feeds = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Whether a slice has something to do. */
  get hasWork(): boolean {
    return this.#isCounting && (this.#messages < Number.POSITIVE_INFINITY || this.#feeds < Number.POSITIVE_INFINITY);
  }

  /** Returns what a tenant has, as far as it is counted. */
  usage(tenant: string): TenantUsage {
    this.#isCounting = true;
    const { bytes = 0, feeds = 0 } = this.#tenants.get(tenant) ?? {};
    return { bytes, feeds };
  }

  /** A message was added in the transaction that is running. */
  messageAdded(tenant: string, row: number, bytes: number): void {
    if (this.#isCounting && row <= this.#messages) this.#changes.push([tenant, bytes, 0]);
  }

  /** The body of a message is about to be removed by the transaction that is running. */
  messageRemoved(row: number): void {
    if (!this.#isCounting || row > this.#messages) return;
    const found = this.#db.sql("SELECT tenant, length(body) AS bytes FROM messages WHERE row = ?").get(row) as
      | { tenant: string; bytes: number }
      | undefined;
    if (found) this.#changes.push([found.tenant, -found.bytes, 0]);
  }

  /** A feed was made in the transaction that is running. */
  feedAdded(tenant: string, id: number): void {
    if (this.#isCounting && id <= this.#feeds) this.#changes.push([tenant, 0, 1]);
  }

  /** The transaction was committed. */
  commit(): void {
    for (const [tenant, bytes, feeds] of this.#changes) this.#add(tenant, bytes, feeds);
    this.#changes = [];
  }

  /** The transaction was rolled back. */
  rollback(): void {
    this.#changes = [];
  }

  slice(budgetMs: number): boolean {
    const end = performance.now() + budgetMs;
    while (this.hasWork && performance.now() < end) {
      if (this.#feeds < Number.POSITIVE_INFINITY) this.#countFeeds();
      else this.#countMessages();
    }
    return this.hasWork;
  }

  #countFeeds(): void {
    const rows = this.#db
      .sql("SELECT id, tenant FROM feeds WHERE id > ? ORDER BY id LIMIT ?")
      .all(this.#feeds, chunk) as { id: number; tenant: string }[];
    for (const { tenant } of rows) this.#add(tenant, 0, 1);
    this.#feeds = rows.length < chunk ? Number.POSITIVE_INFINITY : (rows.at(-1)?.id ?? 0);
  }

  #countMessages(): void {
    const rows = this.#db
      .sql("SELECT row, tenant, length(body) AS bytes FROM messages WHERE row > ? ORDER BY row LIMIT ?")
      .all(this.#messages, chunk) as { row: number; tenant: string; bytes: number }[];
    for (const { tenant, bytes } of rows) this.#add(tenant, bytes, 0);
    this.#messages = rows.length < chunk ? Number.POSITIVE_INFINITY : (rows.at(-1)?.row ?? 0);
  }

  #add(tenant: string, bytes: number, feeds: number): void {
    const usage = this.#tenants.get(tenant) ?? { bytes: 0, feeds: 0 };
    usage.bytes += bytes;
    usage.feeds += feeds;
    if (usage.bytes === 0 && usage.feeds === 0) this.#tenants.delete(tenant);
    else this.#tenants.set(tenant, usage);
  }
}
