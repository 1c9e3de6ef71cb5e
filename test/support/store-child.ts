/**
 * A store in its own process, for tests that kill it, lock it out or trace it:
 * `store-child.ts hold|load|fill|grow|full|normal|early <folder>`. It prints what happens as lines on stdout.
 */
import { writeSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { CountTrimmer } from "../../src/adapters/sqlite/count-trimmer.ts";
import { Database } from "../../src/adapters/sqlite/database.ts";
import { SqliteFeeds } from "../../src/adapters/sqlite/feeds.ts";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import type { Append } from "../../src/ports/store.ts";
import { bytes, message, messages, stored } from "./store-messages.ts";

const [mode = "", folder = ""] = process.argv.slice(2);
const keep = 1_000_000;
/** The number of appends in a trace. */
const traced = 40;

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Prints a line, which the kernel has when this returns, however slowly it is read. */
function print(line: string): void {
  let rest = bytes(`${line}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

async function open(): Promise<SqliteStore> {
  const store = new SqliteStore({ folder, keep });
  await store.open();
  print("open");
  return store;
}

/** Appends endlessly from many callers at once, and prints each answer when it arrives. */
async function load(store: SqliteStore): Promise<void> {
  const caller = async (number: number) => {
    for (;;) {
      const feeds = number % 4 === 0 ? ["user/ann", "tenant"] : [number % 2 ? "user/ann" : "tenant"];
      const append = message("t", { feeds, body: new Uint8Array(300).fill(number) });
      const [appended] = await store.append([append]);
      print(`ack ${append.id} ${feeds.map((name, index) => `${name}=${stored(appended).seqs[index]}`).join(" ")}`);
    }
  };
  await Promise.all(Array.from({ length: 64 }, (_, number) => caller(number)));
}

/** Appends until there is no more space, then prints how many appends were answered and what readers see. */
async function fill(store: SqliteStore): Promise<void> {
  const feeds = ["user/ann", "tenant"];
  const write = () => store.append([message("t", { feeds, body: new Uint8Array(20_000) })]);
  let written = 0;
  while (await write().catch((error: Error) => print(error.message))) written++;
  const bounds = await store.bounds(feeds.map((name) => ({ tenant: "t", name })));
  print(`written ${written} ${bounds.map(({ seq }) => seq).join(" ")}`);
  await store.close();
}

/** Appends some megabytes a second, and prints each change of the store's health with the size of its log. */
async function grow(store: SqliteStore): Promise<void> {
  store.watch(({ state, reason }) => print(`${state} ${store.figures().walBytes} ${reason}`));
  for (;;) {
    await store.append(messages("t", 16, () => ({ body: new Uint8Array(64 * 1024) })));
    await wait(50);
  }
}

/** Returns a message that can be found in a trace. */
function marked(number: number): Append {
  return message("t", { body: bytes(`<mark ${number}>`) });
}

/** Appends one after the other, then in groups, so that the trace has both single and shared commits. */
async function trace(store: SqliteStore): Promise<void> {
  const append = async (number: number) => {
    await store.append([marked(number)]);
    print(`ack ${number}`);
  };
  for (let number = 0; number < traced / 2; number++) await append(number);
  for (let number = traced / 2; number < traced; number += 5) {
    await Promise.all([0, 1, 2, 3, 4].map((step) => append(number + step)));
  }
  await store.close();
}

/** Two faulty stores: `normal` answers before the disk has the message, `early` before the commit. */
function mutant(): void {
  const database = new Database(folder);
  if (mode === "normal") database.sql("PRAGMA synchronous = NORMAL").all();
  const feeds = new SqliteFeeds(database, keep, new CountTrimmer(database));
  for (let number = 0; number < traced; number++) {
    database.transaction(() => {
      feeds.append([marked(number)]);
      if (mode === "early") print(`ack ${number}`);
    });
    if (mode === "normal") print(`ack ${number}`);
  }
  database.close();
}

try {
  if (mode === "hold") {
    await open();
    setInterval(() => {}, 1_000_000);
  } else if (mode === "load") await load(await open());
  else if (mode === "fill") await fill(await open());
  else if (mode === "grow") await grow(await open());
  else if (mode === "full") await trace(await open());
  else mutant();
} catch (error) {
  print(`failed ${(error as Error).message}`);
  process.exitCode = 1;
}
