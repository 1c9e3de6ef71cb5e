/** Totals as text for people. */
import { printable } from "./printer.ts";

/** `unread: 3 (billing 1, system 2)`. */
export function unreadText({
  total,
  byCategory,
}: {
  total: number;
  byCategory: Readonly<Record<string, number>>;
}): string {
  const parts = Object.entries(byCategory).map(([category, count]) => `${printable(category) || "(none)"} ${count}`);
  return `unread: ${total}${parts.length === 0 ? "" : ` (${parts.join(", ")})`}`;
}

/** `online: users 3, streams 5`. */
export function onlineText({ users, connections }: { users: number; connections: number }): string {
  return `online: users ${users}, streams ${connections}`;
}
