import { connectTidings } from "../client/client.ts";
import { isTerminal, type TidingsError } from "../client/tidings-error.ts";
import type { Command } from "./command.ts";
import { eventJson, eventLine } from "./event-line.ts";
import { printable } from "./printer.ts";
import { kinds } from "./publish.ts";
import { tokenOf } from "./remote.ts";

/** `tidings tail`: what a page would receive. */
export const tail: Command = {
  name: "tail",
  summary: "Print events as they come, until Ctrl-C.",
  details:
    "Comes back by itself when the connection or the server goes, and continues where it was. Ends with an error when the " +
    "token is refused or has expired. With --json each event is as in the JSON form of SubscribeResponse.",
  examples: [
    "tidings tail",
    "TIDINGS_TOKEN=$(tidings token --sub ada --tenant acme) tidings tail --kinds notification,event",
    "tidings tail --json | jq 'select(.message).message.title'",
  ],
  async run({ values, io, print }) {
    const token = tokenOf(values, "tail");
    const client = connectTidings({
      url: values.url,
      token: () => token,
      transport: "connect",
      subscribe: {
        kinds: (values.kinds ?? []).map((kind) => kinds[kind]),
        categories: [...(values.categories ?? [])],
        events: [...(values.events ?? [])],
        onlineCount: true,
      },
    });
    let refused: TidingsError | undefined;
    client.on("error", (error) => {
      // The client would ask for another token, but there is only this one.
      if (error.code === "unauthenticated") refused = error;
      if (refused !== undefined) client.close();
      else if (!isTerminal(error)) print.note(`${error.code}: ${printable(error.message)}; trying again`);
    });
    const forget = io.onSignal(() => client.close());
    try {
      for await (const event of client.events()) {
        if (values.json) print.json(eventJson(event));
        else print.line(eventLine(print, event, client.unread.value));
      }
    } finally {
      forget();
      client.close();
    }
    if (refused !== undefined) throw refused;
    return 0;
  },
};
