/** A server with two tenants and a few messages, its log in memory, and ways to see whether its state changed. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type Logger, pino } from "pino";
import { Kind, PushService } from "../../../src/gen.ts";
import { limitNames } from "../../../src/limit-options.ts";
import { type Caller, type ServerOptions, startServer, type TestServer } from "../../support/server.ts";

/** The callers of the tables; both tenants have an `ann`. */
export const callers = {
  ann: { sub: "ann", tenant: "acme" },
  bob: { sub: "bob", tenant: "acme" },
  stranger: { sub: "ann", tenant: "rival" },
  service: { sub: "backend", tenant: "acme", role: "service" },
  rivalService: { sub: "backend", tenant: "rival", role: "service" },
  global: { sub: "backend", role: "service" },
  admin: { sub: "root", tenant: "acme", role: "admin" },
} as const satisfies Record<string, Caller>;

/** The name of a caller. */
export type CallerName = keyof typeof callers;

/** Values of the server's state that rows of tables need. */
export interface Known {
  /** Page tokens of ann's lists. */
  readonly unreadToken: string;
  readonly messagesToken: string;
  /** The page token of a list of the other tenant's ann. */
  readonly strangersToken: string;
  /** The ids of messages in the inbox of the other tenant's ann. */
  readonly strangersIds: readonly string[];
  /** The ids of messages in ann's inbox. */
  readonly ids: readonly string[];
}

/** A running server with its callers. */
export interface Stage {
  readonly server: TestServer;
  readonly known: Known;
  /** The lines of the log, at the level trace. */
  readonly lines: string[];
  /** The headers of a caller. */
  as(name: CallerName): HeadersInit;
  /** Everything that the callers can see of the store: lists, totals, read states, positions. */
  snapshot(): Promise<string>;
  /** Stops the server and counts the rows of its database. */
  close(): Promise<Readonly<Record<string, number>>>;
}

/** The number of messages of each user and tenant. */
export const seeded = 12;

/** Bad input is to be refused for what it is, however much of it a test sends. */
const noLimits = Object.fromEntries(limitNames.map((name) => [name, Number.POSITIVE_INFINITY]));

/** A logger that keeps its lines. */
export function memoryLogger(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  return { logger: pino({ level: "trace" }, { write: (line: string) => void lines.push(line) }), lines };
}

/** Starts a server and fills it. */
export async function openStage(options: ServerOptions = {}): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), "tidings-input-"));
  const { logger, lines } = memoryLogger();
  const server = await startServer({ data: folder, logger, limits: noLimits, ...options });
  const headers = new Map<CallerName, HeadersInit>();
  for (const name of Object.keys(callers) as CallerName[]) {
    headers.set(name, { authorization: `Bearer ${await server.token(callers[name])}` });
  }
  const as = (name: CallerName) => headers.get(name) ?? {};
  const client = createClient(PushService, createGrpcTransport({ baseUrl: server.url }));
  await seed(client, as);
  const known = await look(client, as);
  return {
    server,
    known,
    lines,
    as,
    snapshot: () => snapshot(client, as),
    async close() {
      await server.stop();
      const counts = countRows(join(folder, "tidings.db"));
      rmSync(folder, { recursive: true, force: true });
      return counts;
    },
  };
}

async function seed(client: Client<typeof PushService>, as: (name: CallerName) => HeadersInit): Promise<void> {
  for (const service of ["service", "rivalService"] as const) {
    const requests = Array.from({ length: seeded }, (_, index) => [
      {
        audience: { to: { case: "userId", value: "ann" } as const },
        message: { kind: Kind.NOTIFICATION, title: `own ${index}` },
      },
      {
        audience: { to: { case: "tenant", value: true } as const },
        message: { kind: Kind.NOTIFICATION, title: `all ${index}` },
      },
    ]).flat();
    await client.publishBatch({ requests }, { headers: as(service) });
  }
  const audience = { to: { case: "userId", value: "ann" } as const };
  const message = { kind: Kind.NOTIFICATION, title: "the first content" };
  await client.publish({ audience, message, requestId: "used" }, { headers: as("service") });
}

async function look(client: Client<typeof PushService>, as: (name: CallerName) => HeadersInit): Promise<Known> {
  const list = (name: CallerName) => client.listMessages({ pageSize: 5 }, { headers: as(name) });
  const [mine, theirs] = await Promise.all([list("ann"), list("stranger")]);
  const unread = await client.listUnread({ pageSize: 5 }, { headers: as("ann") });
  return {
    unreadToken: unread.nextPageToken,
    messagesToken: mine.nextPageToken,
    strangersToken: theirs.nextPageToken,
    ids: mine.messages.map(({ id }) => id),
    strangersIds: theirs.messages.map(({ id }) => id),
  };
}

async function snapshot(client: Client<typeof PushService>, as: (name: CallerName) => HeadersInit): Promise<string> {
  const parts = (["ann", "bob", "stranger", "service", "rivalService"] as const).map(async (name) => {
    const headers = as(name);
    const { messages } = await client.listMessages({ pageSize: 100 }, { headers });
    const isUser = !/service/i.test(name);
    const unread = isUser && (await client.listUnread({ pageSize: 100 }, { headers }));
    return { name, messages, unread, start: await startOf(client, headers) };
  });
  return JSON.stringify(await Promise.all(parts), (_key, value: unknown) =>
    typeof value === "bigint" ? `${value}` : value,
  );
}

/** The positions of all feeds, and the totals, from the Hello of a new stream. */
async function startOf(client: Client<typeof PushService>, headers: HeadersInit): Promise<unknown> {
  const ending = new AbortController();
  const stream = client.subscribe({}, { headers, signal: ending.signal })[Symbol.asyncIterator]();
  const { value } = await stream.next();
  ending.abort();
  return value?.event.case === "hello" && [value.event.value.positions, value.event.value.unread];
}

function countRows(file: string): Record<string, number> {
  const database = new DatabaseSync(file, { readOnly: true });
  const count = (table: string) => (database.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n;
  const counts = Object.fromEntries(
    ["messages", "entries", "feeds", "read_states"].map((table) => [table, count(table)]),
  );
  database.close();
  return counts;
}
