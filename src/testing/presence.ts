/** The law of port Presence, as it stands in its types, as tests. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Connection, OnlineTotals, Presence } from "../ports/presence.ts";
import type { LosingPresence, OpenedPresence } from "./opened-presence.ts";
import { lossLaw } from "./presence-loss.ts";
import { roomLaw } from "./presence-rooms.ts";

/** Options of presenceContract, for adapters on slow servers. */
export interface PresenceContractOptions {
  /** How many random scripts are compared with a model of the law. Default 200. */
  readonly scripts?: number;
  /**
   * Opens nodes whose shared state the tests may damage. Given, the suite loses every key of it, one after the other. An
   * adapter whose state cannot lose parts leaves it out.
   */
  readonly losing?: () => Promise<LosingPresence>;
}

/**
 * Registers the tests of port Presence for an adapter. `make` opens nodes that share what they know, with nobody online;
 * it is called once for each test and once for each random script.
 */
export function presenceContract(
  name: string,
  make: () => Promise<OpenedPresence>,
  { scripts = 200, losing }: PresenceContractOptions = {},
): void {
  describe(name, () => {
    let opened: OpenedPresence;
    let presence: Presence;
    beforeEach(async () => {
      opened = await make();
      [presence] = opened.nodes;
    });
    afterEach(() => opened.close());

    /** Polls: a node may learn of a change a moment later than another. */
    const counts = async (tenant: string | undefined, expected: OnlineTotals) => {
      for (const node of opened.nodes) await expect.poll(() => node.count(tenant)).toEqual(expected);
    };

    test("counts nobody at first", async () => {
      await counts("t", { users: 0, connections: 0 });
      await counts(undefined, { users: 0, connections: 0 });
      expect(await presence.connections("t", ["ann"])).toEqual([0]);
      expect(await presence.connections("t", [])).toEqual([]);
    });

    test("counts a user with several tabs once, until the last one is closed", async () => {
      const tabs = ["1", "2", "3"].map((id) => connection(id, "t", "ann"));
      for (const tab of tabs) await presence.enter(tab);
      await presence.enter(connection("4", "t", "bob"));
      await counts("t", { users: 2, connections: 4 });
      for (const [index, tab] of tabs.entries()) {
        await presence.leave(tab);
        await counts("t", { users: index < 2 ? 2 : 1, connections: 3 - index });
      }
    });

    test("counts a stream that enters twice once, and subtracts a stream that leaves twice once", async () => {
      const [tab, other] = [connection("1", "t", "ann"), connection("2", "t", "ann")];
      await presence.enter(tab);
      await presence.enter(tab);
      await presence.enter(other);
      await counts("t", { users: 1, connections: 2 });
      await presence.leave(tab);
      await presence.leave(tab);
      await counts("t", { users: 1, connections: 1 });
    });

    test("holds one lease for each connection of its own node, rooms included", async () => {
      const tabs = ["1", "2", "3"].map((id) => connection(id, "t", "ann"));
      for (const tab of tabs) await presence.enter(tab);
      await presence.join({ connection: tabs[0] as Connection, room: "r", mode: "any", instance: "" });
      await presence.enter(connection("4", "other", "ann"));
      expect(opened.nodes.map(({ leases }) => leases)).toEqual(opened.nodes.map((_, index) => (index === 0 ? 4 : 0)));
      for (const tab of tabs) await presence.leave(tab);
      expect(presence.leases).toBe(1);
    });

    test("ignores the leave of a stream that never entered", async () => {
      await presence.enter(connection("1", "t", "ann"));
      await presence.leave(connection("2", "t", "ann"));
      await presence.leave(connection("1", "t", "bob"));
      await presence.leave(connection("1", "u", "ann"));
      await counts("t", { users: 1, connections: 1 });
      await counts("u", { users: 0, connections: 0 });
    });

    test("counts each tenant separately, and all of them when no tenant is given", async () => {
      for (const [index, tenant] of ["t", "u", "t\nann", "", "__proto__"].entries()) {
        await presence.enter(connection(`${index}a`, tenant, "ann"));
        await presence.enter(connection(`${index}b`, tenant, "ann"));
      }
      await presence.enter(connection("c", "u", "bob"));
      await counts("t", { users: 1, connections: 2 });
      await counts("u", { users: 2, connections: 3 });
      await counts("", { users: 1, connections: 2 });
      await counts("constructor", { users: 0, connections: 0 });
      await counts(undefined, { users: 6, connections: 11 });
    });

    test("returns the number of open streams per user, in the order given", async () => {
      await presence.enter(connection("1", "t", "ann"));
      await presence.enter(connection("2", "t", "ann"));
      await presence.enter(connection("3", "t", "bob"));
      await presence.enter(connection("4", "u", "cyd"));
      const users = ["bob", "nobody", "ann", "cyd", "bob", "constructor"];
      for (const node of opened.nodes) {
        await expect.poll(() => node.connections("t", users)).toEqual([1, 0, 2, 0, 1, 0]);
      }
    });

    test("notifies watchers of a change once the count includes it", async () => {
      const seen: { tenant: string; count: Promise<OnlineTotals> }[] = [];
      presence.watch((change) => {
        if (change.type === "count") seen.push({ tenant: change.tenant, count: presence.count(change.tenant) });
      });
      await presence.enter(connection("1", "t", "ann"));
      await expect.poll(() => seen.at(-1)?.tenant).toBe("t");
      expect(await seen.at(-1)?.count).toEqual({ users: 1, connections: 1 });
      await presence.enter(connection("2", "u", "ann"));
      await expect.poll(() => seen.at(-1)?.tenant).toBe("u");
      const before = seen.length;
      await presence.leave(connection("1", "t", "ann"));
      await expect.poll(() => seen.length).toBeGreaterThan(before);
      expect(seen.at(-1)?.tenant).toBe("t");
      expect(await seen.at(-1)?.count).toEqual({ users: 0, connections: 0 });
    });

    test("notifies each watcher on every node until it stops watching", async () => {
      const heard = opened.nodes.map(watch);
      const gone = watch(presence);
      gone.stop();
      gone.stop();
      await presence.enter(connection("1", "t", "ann"));
      for (const { tenants } of heard) await expect.poll(() => tenants).toContain("t");
      expect(gone.tenants).toEqual([]);
    });

    test("reports a watcher that throws as a warning, and goes on", async () => {
      const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      const failure = new Error("a watcher's bug");
      const stop = presence.watch(() => {
        throw failure;
      });
      const { tenants } = watch(presence);
      await presence.enter(connection("1", "t", "ann"));
      await expect.poll(() => tenants).toEqual(["t"]);
      expect(warn).toHaveBeenCalledExactlyOnceWith(failure);
      stop();
      warn.mockRestore();
      await counts("t", { users: 1, connections: 1 });
    });

    test("removes the streams of a closing node from every count", async () => {
      const last = opened.nodes.at(-1) ?? presence;
      await last.enter(connection("1", "t", "ann"));
      await counts("t", { users: 1, connections: 1 });
      await last.close();
      await expect.poll(() => presence.count("t")).toEqual({ users: 0, connections: 0 });
    });

    test("converges to the exact count after any script of enters and leaves", async () => {
      const move = fc.record({ enters: fc.boolean(), id: fc.nat({ max: 9 }) });
      await fc.assert(
        fc.asyncProperty(fc.array(move, { maxLength: 60 }), async (script) => {
          const { nodes, close } = await make();
          const open = new Map<string, Connection>();
          await Promise.all(
            script.map(({ enters, id }) => {
              // A stream stays on one node and belongs to one user.
              const stream = connection(String(id), id % 2 ? "t" : "u", `user-${id % 3}`);
              const home = nodes[id % nodes.length] as Presence;
              if (enters) open.set(stream.id, stream);
              else open.delete(stream.id);
              return enters ? home.enter(stream) : home.leave(stream);
            }),
          );
          for (const tenant of ["t", "u", undefined]) {
            for (const each of nodes)
              await expect.poll(() => each.count(tenant)).toEqual(countOf([...open.values()], tenant));
          }
          await close();
        }),
        { numRuns: scripts },
      );
    });

    roomLaw(() => opened, make, scripts);
    if (losing) lossLaw(losing);
  });
}

function countOf(open: readonly Connection[], tenant: string | undefined): OnlineTotals {
  const counted = open.filter((each) => tenant === undefined || each.tenant === tenant);
  return { users: new Set(counted.map((each) => `${each.tenant}\n${each.user}`)).size, connections: counted.length };
}

function connection(id: string, tenant: string, user: string): Connection {
  return { id, tenant, user };
}

function watch(presence: Presence): { tenants: string[]; stop: () => void } {
  const tenants: string[] = [];
  const stop = presence.watch((change) => {
    if (change.type === "count") tenants.push(change.tenant);
  });
  return { tenants, stop };
}
