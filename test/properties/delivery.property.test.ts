import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import type { Notice } from "../../src/ports/bus.ts";
import { seededRandom, ticks } from "../support/clock.ts";
import { type TestCore, toTenant, toUser, userOf, withTestCore } from "../support/core.ts";
import type { Reader } from "../support/reader.ts";

const ann = userOf("acme");

/** A bus that loses, repeats and delays notices, until `whole` is set. */
class FaultyBus extends MemoryBus {
  whole = false;
  readonly #fraction: () => number;
  #held: Notice[] = [];

  constructor(fraction: () => number) {
    super();
    this.#fraction = fraction;
  }

  override publish(notices: readonly Notice[]): void {
    for (const notice of notices) this.#pass(notice);
  }

  #pass(notice: Notice): void {
    const chance = this.whole ? 1 : this.#fraction();
    if (chance < 0.2) return;
    if (chance < 0.45) {
      this.#held.push(notice);
      return;
    }
    super.publish(chance < 0.6 ? [notice, notice] : [notice]);
    // Held notices come late and in the wrong order.
    if (!this.whole && this.#fraction() < 0.6) return;
    super.publish(this.#held.reverse());
    this.#held = [];
  }
}

function ids(reader: Reader, feed: string): string[] {
  return reader.messages.filter(({ position }) => position?.feed === feed).map(({ id }) => id);
}

/** Publishes a burst in several concurrent calls, alternately to the user and to the tenant. */
async function burst(node: TestCore, counts: readonly number[]): Promise<void> {
  await Promise.all(
    counts.map((count, index) => node.publishMany("acme", index % 2 === 0 ? toUser("ann") : toTenant, count)),
  );
}

/** The ids of a feed in the order in which they are stored. */
async function stored(node: TestCore, name: string): Promise<string[]> {
  const { entries } = await node.store.read({ tenant: "acme", name }, 0, Number.MAX_SAFE_INTEGER, 100_000, 0);
  return entries.map(({ id }) => id);
}

describe("Each message arrives once and in order", () => {
  test("on a stream that replays while others publish, in whatever order the store answers", async () => {
    const count = fc.integer({ min: 1, max: 90 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(count, { maxLength: 4 }),
        fc.array(count, { minLength: 1, maxLength: 6 }),
        fc.nat({ max: 5 }),
        fc.nat(),
        async (before, meanwhile, delay, seed) => {
          const { fraction } = seededRandom(seed);
          const wait = () => ticks(Math.floor(fraction() * (delay + 1)));
          await withTestCore(
            async (node) => {
              await burst(node, before);
              const positions = [
                { feed: "user", seq: "0" },
                { feed: "tenant", seq: "0" },
              ];
              const reader = node.subscribe(ann, { positions }, { paused: fraction() < 0.3 });
              for (const each of meanwhile) {
                await wait();
                void burst(node, [each, Math.ceil(each / 2)]);
                if (fraction() < 0.5) reader.step();
              }
              await wait();
              reader.resume();
              await node.settle();
              expect(ids(reader, "user")).toEqual(await stored(node, "user/ann"));
              expect(ids(reader, "tenant")).toEqual(await stored(node, "tenant"));
              expect(reader.badge.total).toBe(reader.messages.length);
            },
            {
              async around(_method, call) {
                await wait();
                const answer = await call();
                await wait();
                return answer;
              },
            },
          );
        },
      ),
      { numRuns: 20 },
    );
  }, 60_000);

  test("over a bus that loses, repeats and reorders, once a later notice comes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
        fc.nat(),
        async (bursts, seed) => {
          const bus = new FaultyBus(seededRandom(seed).fraction);
          await withTestCore(
            async (node) => {
              const reader = await node.live(ann);
              for (const each of bursts) {
                await burst(node, [each, each]);
                await node.settle();
              }
              bus.whole = true;
              await burst(node, [1, 1]);
              await node.settle();
              expect(ids(reader, "user")).toEqual(await stored(node, "user/ann"));
              expect(ids(reader, "tenant")).toEqual(await stored(node, "tenant"));
              expect(reader.badge.total).toBe((await node.unread(ann)).unread.total);
            },
            { bus },
          );
        },
      ),
      { numRuns: 20 },
    );
  }, 60_000);
});
