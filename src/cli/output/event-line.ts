/** Events of a stream, as lines for people and as JSON for programs. */
import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { MessageSchema } from "../../../gen/tidings/v1/message_pb.ts";
import type { TidingsEvent } from "../../client/client.ts";
import type { Position, RoomEvent, UnreadTotals } from "../../client/events.ts";
import { toEncodable } from "../../wire/frame.ts";
import { onlineText, unreadText } from "./counts.ts";
import { messageLine } from "./message-line.ts";
import { type Printer, printable, type Style } from "./printer.ts";

const styles: Readonly<Record<Exclude<TidingsEvent["type"], "message">, Style>> = {
  hello: "green",
  readState: "blue",
  online: "dim",
  caughtUp: "green",
  gap: "yellow",
  reset: "yellow",
  room: "magenta",
};

/** One line for an event. `unread`: the totals at that time, undefined when they are not known. */
export function eventLine(print: Printer, event: TidingsEvent, unread: UnreadTotals | undefined): string {
  if (event.type === "message") return messageLine(print, event.message);
  const totals = event.type === "caughtUp" && unread !== undefined ? `, ${unreadText(unread)}` : "";
  return print.style(styles[event.type], textOf(event) + totals);
}

/** An event as the JSON form of SubscribeResponse: one key, named after the event. */
export function eventJson(event: TidingsEvent): JsonValue {
  if (event.type === "message") return { message: toJson(MessageSchema, toEncodable(event.message, undefined)) };
  const { type, ...rest } =
    event.type === "room" ? { ...event, status: `STATUS_${event.status.toUpperCase()}` } : event;
  // `$typeName` is on every Protobuf message, but is no field.
  return JSON.parse(JSON.stringify({ [type]: rest }, (key, value) => (key === "$typeName" ? undefined : value)));
}

function textOf(event: Exclude<TidingsEvent, { type: "message" }>): string {
  switch (event.type) {
    case "hello":
      return `connected as ${printable(event.subscriptionId)}`;
    case "readState":
      return event.unread === undefined ? "read state changed" : unreadText(event.unread);
    case "online":
      return onlineText(event);
    case "caughtUp":
      return "up to date";
    case "gap":
      return `gap: the messages after ${positionText(event.after)} up to ${positionText(event.to)} are gone`;
    case "reset":
      return `starting over: the server does not know the position (${printable(event.reason)})`;
    case "room":
      return `room ${printable(event.roomId)}: ${event.status}${reasonText(event)}`;
  }
}

function reasonText({ code, reason, message }: Pick<RoomEvent, "code" | "reason" | "message">): string {
  return code === "" ? "" : ` (${printable(code)} ${printable(reason)}: ${printable(message)})`;
}

function positionText(position: Position | undefined): string {
  return position === undefined ? "the start" : `${printable(position.feed)} ${position.seq}`;
}
