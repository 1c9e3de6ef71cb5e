/** Clients as applications use them, that measure how old each message is when a listener gets it. */
import { connectTidings, type TidingsClient } from "../../src/client/index.ts";
import { answerCommands } from "../commands.ts";
import { Histogram, sharedMicroseconds } from "../histogram.ts";
import { marker, stampLength } from "../message.ts";
import { userToken } from "../tokens.ts";

/** Clients to open. */
export interface OpenClients {
  readonly port: number;
  /** One client for each. */
  readonly users: readonly { readonly user: string; readonly tenant: string }[];
  readonly transport: "ws" | "connect";
}

const times = new Histogram();
const clients: TidingsClient[] = [];
let received = 0;

answerCommands({ open, times: take, received: () => received });

/** Answers when all are caught up. */
async function open({ port, users, transport }: OpenClients): Promise<void> {
  await Promise.all(
    users.map(async ({ user, tenant }) => {
      const token = await userToken(user, tenant);
      const client = connectTidings({ url: `http://127.0.0.1:${port}`, token: () => token, transport });
      clients.push(client);
      client.on("message", ({ content }) => {
        received++;
        const stamp = content.slice(marker.length, marker.length + stampLength);
        times.add(sharedMicroseconds() - Number.parseInt(stamp, 16));
      });
      await new Promise<void>((resolve) => client.on("caughtUp", () => resolve()));
    }),
  );
}

/** The times since the last question. */
function take(): number[] {
  const values = times.toJSON();
  times.clear();
  return values;
}
