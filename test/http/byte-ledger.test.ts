import { beforeEach, expect, test } from "vitest";
import { ByteLedger, type LedgerEntry } from "../../src/http/byte-ledger.ts";

let now = 0;
let ledger: ByteLedger;
let cuts: string[];

beforeEach(() => {
  now = 0;
  cuts = [];
  ledger = new ByteLedger({ userBytes: 10, nodeBytes: 25 }, () => now);
});

function add(name: string, bytes: number, user?: string): LedgerEntry {
  const entry = { bytes, user, cut: (reason: string) => cuts.push(`${name}: ${reason}`) };
  ledger.add(entry);
  return entry;
}

test("A user beyond its bound loses its calls that have not moved for the longest time", () => {
  add("ann 1", 5, "ann");
  const moving = add("ann 2", 5, "ann");
  add("bob 1", 10, "bob");
  now = 1_000;
  ledger.progress(moving);
  add("ann 3", 5, "ann");
  expect(cuts).toEqual(["ann 1: userBytes"]);
  expect(ledger.bytes).toBe(20);
});

test("A user whose calls all move does not get another one", () => {
  add("ann 1", 10, "ann");
  now = 999;
  add("ann 2", 1, "ann");
  expect(cuts).toEqual(["ann 2: userBytes"]);
});

test("A node beyond its bound loses the calls of anybody that have not moved for the longest time", () => {
  add("service", 20);
  now = 500;
  add("ann", 5, "ann");
  now = 2_000;
  add("bob", 10, "bob");
  expect(cuts).toEqual(["service: nodeBytes"]);
});

test("Services have no bound of their own", () => {
  add("service", 20);
  expect(cuts).toEqual([]);
});

test("An entry that is removed or cut counts no more, however often it is removed", () => {
  const entry = add("ann 1", 10, "ann");
  ledger.remove(entry);
  ledger.remove(entry);
  ledger.progress(entry);
  add("ann 2", 10, "ann");
  expect([cuts, ledger.bytes]).toEqual([[], 10]);
});

test("Entries without progress for the stall time are cut, and no others", () => {
  add("ann", 1, "ann");
  const moving = add("bob", 1, "bob");
  now = 10_000;
  ledger.progress(moving);
  now = 30_000;
  ledger.cutStalled(30_000);
  expect(cuts).toEqual(["ann: stalled"]);
  now = 40_000;
  ledger.cutStalled(30_000);
  expect(cuts).toEqual(["ann: stalled", "bob: stalled"]);
  expect(ledger.bytes).toBe(0);
});
