/** Clients of `src/client`. Each measures the latency of a message when its listener is called. */
import { connectTidings, type TidingsClient } from "../../../src/client/index.ts";
import { Histogram, sharedMicroseconds } from "../../measure/histogram.ts";
import { serveCommands } from "../../process/commands.ts";
import { marker, stampLength } from "../../workload/message.ts";
import { userToken } from "../../workload/tokens.ts";

/** Clients to open. */
export interface OpenClients {
  readonly port: number;
  /** One client for each user. */
  readonly users: readonly { readonly user: string; readonly tenant: string }[];
  readonly transport: "ws" | "connect";
}

const times = new Histogram();
const clients: TidingsClient[] = [];
let received = 0;

serveCommands({ open, times: takeTimes, received: () => received });

/** Resolves when all clients have caught up. */
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

/** The times since the previous call. */
function takeTimes(): number[] {
  const values = times.toJSON();
  times.clear();
  return values;
}
