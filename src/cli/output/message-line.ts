/** Messages as lines for people. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Kind, type Message } from "../../../gen/tidings/v1/message_pb.ts";
import { kindName } from "../config/kinds.ts";
import { type Printer, printable } from "./printer.ts";

/** One line with the time, kind, room, receiver, category, title, text, link and alert of a message; unset ones are left out. */
export function messageLine(print: Printer, message: Message): string {
  const { kind, category, event, title, content, url, publishTime, roomId, receiverId, alert } = message;
  const time = publishTime === undefined ? "" : localTime(timestampDate(publishTime));
  const name = kind === Kind.EVENT && event !== "" ? `event ${event}` : (kindName(kind) ?? "message");
  return [
    print.style("dim", time),
    print.style("cyan", printable(name)),
    roomId && `in ${printable(roomId)}`,
    receiverId && `for ${printable(receiverId)}`,
    category && `[${printable(category)}]`,
    print.style("bold", printable(title)),
    printable(content),
    url && print.style("underline", printable(url)),
    alert && print.style("yellow", "(alert)"),
  ]
    .filter((part) => part !== "" && part !== false && part !== print.style("bold", ""))
    .join("  ");
}

/** A time in the time zone of the machine: `2026-11-03 10:20:31`. */
export function localTime(date: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
