import { connectTidings } from "../../client/client.ts";
import type { JoinMode, RoomJoin } from "../../client/events.ts";
import { RoomJoins } from "../../client/state/rooms.ts";
import { isTerminal, type TidingsError } from "../../client/tidings-error.ts";
import type { Command } from "../command.ts";
import { kinds } from "../config/kinds.ts";
import { credentialOf } from "../config/token-source.ts";
import { UsageError } from "../config/usage-error.ts";
import { eventJson, eventLine } from "../output/event-line.ts";
import { printable } from "../output/printer.ts";
import { serverUrl } from "../service-client.ts";

/** `tidings tail`: prints the events that a page would receive. */
export const tail: Command = {
  name: "tail",
  summary: "Print events as they arrive, until Ctrl-C.",
  details:
    "Reconnects when the connection or the server fails, and resumes where it stopped. When the token is refused or has " +
    "expired, it goes on with a fresh one of --token-file or --token-command, and otherwise ends with an error, as it does " +
    "when the user is disconnected. --room takes the id of a room, optionally followed by " +
    ":first to enter only while nobody else is in it, :last to remove everybody else, or :any. With --json each event has " +
    "the JSON form of SubscribeResponse.",
  examples: [
    "tidings tail",
    "TIDINGS_TOKEN=$(tidings token --sub ada --tenant acme) tidings tail --kinds notification,event",
    "tidings tail --room team/7 --room dm/ada/bob --room editor/7:last",
    "tidings tail --json | jq 'select(.message).message.title'",
  ],
  async run({ values, deps, io, print }) {
    const credential = credentialOf(values, "tail", deps);
    const rooms = readRooms(values.room ?? []);
    // Before the connection, whose retries would hide that the first token cannot be read.
    let first: string | undefined = await credential.get({ refresh: false });
    const client = connectTidings({
      url: serverUrl(values),
      token(request) {
        const token = first ?? credential.get(request);
        first = undefined;
        return token;
      },
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
      // The client would wait for a fresh token, but there is only this one.
      if (error.code === "unauthenticated" && !credential.canChange) refused = error;
      if (refused !== undefined) client.close();
      else if (!isTerminal(error)) print.note(`${error.code}: ${printable(error.message)}; reconnecting`);
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

/** Parses `id` or `id:mode`. Throws a UsageError for a list of rooms that every server would refuse. */
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
