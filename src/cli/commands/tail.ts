import { connectTidings } from "../../client/client.ts";
import type { JoinMode, RoomJoin } from "../../client/events.ts";
import { RoomJoins } from "../../client/state/rooms.ts";
import { isTerminal, type TidingsError } from "../../client/tidings-error.ts";
import { UsageError } from "../config/usage-error.ts";
import { eventJson, eventLine } from "../output/event-line.ts";
import { printable } from "../output/printer.ts";
import type { Command } from "./command.ts";
import { kinds } from "./publish.ts";
import { tokenOf } from "./remote.ts";

/** `tidings tail`: what a page would receive. */
export const tail: Command = {
  name: "tail",
  summary: "Print events as they come, until Ctrl-C.",
  details:
    "Comes back by itself when the connection or the server goes, and continues where it was. Ends with an error when the " +
    "token is refused or has expired, and when the user is disconnected. --room takes the id of a room, and behind it " +
    ":first to enter only while nobody else is in it, :last to enter in place of all others, or :any. With --json each " +
    "event is as in the JSON form of SubscribeResponse.",
  examples: [
    "tidings tail",
    "TIDINGS_TOKEN=$(tidings token --sub ada --tenant acme) tidings tail --kinds notification,event",
    "tidings tail --room team/7 --room dm/ada/bob --room editor/7:last",
    "tidings tail --json | jq 'select(.message).message.title'",
  ],
  async run({ values, io, print }) {
    const token = tokenOf(values, "tail");
    const rooms = readRooms(values.room ?? []);
    const client = connectTidings({
      url: values.url,
      token: () => token,
      transport: "connect",
      subscribe: {
        kinds: (values.kinds ?? []).map((kind) => kinds[kind]),
        categories: [...(values.categories ?? [])],
        events: [...(values.events ?? [])],
        onlineCount: true,
        rooms,
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

/** `id` or `id:mode`. Throws a UsageError for what no server takes. */
function readRooms(texts: readonly string[]): RoomJoin[] {
  const rooms = texts.map((text) => {
    const [, roomId = text, mode = "any"] = /^(.+):(any|first|last)$/s.exec(text) ?? [];
    return { roomId, mode: mode as JoinMode };
  });
  try {
    return new RoomJoins(rooms).list();
  } catch (error) {
    throw new UsageError(`--room: ${error instanceof Error ? error.message : error}`, "tail");
  }
}
