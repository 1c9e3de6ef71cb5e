import { create } from "@bufbuild/protobuf";
import { DeleteMessagesRequestSchema, MarkReadRequestSchema } from "../../../gen/tidings/v1/push_service_pb.ts";
import type { Core } from "../../../src/core/core.ts";
import { userOf } from "../../support/core.ts";
import type { History, MarkRecord } from "../check/history.ts";
import type { Scheduler } from "../runtime/scheduler.ts";
import type { SeededRandom } from "../runtime/seeded-random.ts";
import type { Device } from "./device.ts";
import { errorName, isExpected, type LoadBalancer } from "./load-balancer.ts";

const timeoutMs = 6_000;

/** Marks, deletes and recalls messages, on behalf of any device and through any node. */
export class Reader {
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #balancer: LoadBalancer;
  readonly #history: History;

  constructor(scheduler: Scheduler, random: SeededRandom, balancer: LoadBalancer, history: History) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#balancer = balancer;
    this.#history = history;
  }

  /** Marks or deletes some messages of a device's user. */
  async mark(device: Device): Promise<void> {
    const { tenant, user, delivered, positions } = device.record;
    const action = this.#random.pick(["read", "read", "all", "all", "delete"] as const);
    const ids = action === "all" || delivered.length === 0 ? [] : this.#pickIds(delivered.map(({ id }) => id));
    if (action !== "all" && ids.length === 0) return;
    const inbox = positions.filter(({ feed }) => feed !== "activity");
    const upTo = action === "all" && inbox.length > 0 && this.#random.chance(0.5) ? inbox : undefined;
    const mark: MarkRecord = {
      tenant,
      user,
      do: action,
      ids,
      upTo: upTo && new Map(upTo.map(({ feed, seq }) => [feed, Number(seq)])),
      invoked: this.#scheduler.now,
      ended: Number.POSITIVE_INFINITY,
      answered: false,
    };
    this.#history.marks.push(mark);
    const identity = userOf(tenant, user);
    const name = `${device.record.name} ${action} ${ids.length}${upTo ? " up to its positions" : ""}`;
    const { response, attempts } = await this.#retry(name, async (core) => {
      const { inbox } = core.context;
      if (action === "delete") {
        return inbox.delete(identity, create(DeleteMessagesRequestSchema, { ids: { messageIds: [...ids] } }));
      }
      const target =
        action === "all"
          ? { case: "all" as const, value: true }
          : { case: "ids" as const, value: { messageIds: [...ids] } };
      return inbox.mark(identity, create(MarkReadRequestSchema, { target, ...(upTo ? { upTo } : {}) }));
    });
    mark.answered = response !== undefined;
    // After a retry an earlier attempt may still be in flight.
    if (response && attempts === 1) mark.ended = this.#scheduler.now;
    if (response) device.applyTotals(response.unread);
  }

  /** Recalls a message, as a backend does. */
  async recall(tenant: string): Promise<void> {
    const prefix = `${tenant}\n`;
    const known = this.#history.publishes.filter(({ answered, feed }) => answered && feed.startsWith(prefix));
    if (known.length === 0) return;
    const id = this.#random.pick(known).answered?.id ?? "";
    const record = { id, answered: false };
    this.#history.recalls.push(record);
    const { response } = await this.#retry(`recall ${id}`, (core) => core.recaller.recall(tenant, [id]));
    record.answered = response !== undefined;
  }

  async #retry<T>(name: string, use: (core: Core) => Promise<T>): Promise<{ response?: T; attempts: number }> {
    const maxAttempts = this.#random.integer(1, 6);
    for (let attempts = 1; attempts <= maxAttempts; attempts++) {
      const node = this.#balancer.pick();
      this.#history.log(`${name} on ${node.host.name}`);
      try {
        const response = await this.#balancer.call(node, use, timeoutMs);
        this.#history.log(`${name} answered`);
        return { response, attempts };
      } catch (error) {
        this.#history.log(`${name} failed: ${errorName(error)}`);
        if (!isExpected(error)) this.#history.error(`${name}: ${errorName(error)}`);
      }
      await this.#scheduler.sleep(this.#random.between(5, 300));
    }
    return { attempts: maxAttempts };
  }

  #pickIds(ids: readonly string[]): string[] {
    const count = this.#random.integer(1, 3);
    return Array.from({ length: count }, () => this.#random.pick(ids.slice(-12)));
  }
}
