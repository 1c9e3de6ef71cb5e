/** A member's page: a talk with each other member and one with the group, with the number of unread lines in each. */
import { connectTidings, directRoom, Kind, type Message } from "tidings-client";
import { button, fetchToken, find, make, onSubmit, showBadge, showState, timeOf, user } from "../shared/browser.ts";
import { nameOf } from "../shared/example.ts";
import { MessageList } from "../shared/list.ts";
import { team } from "./backend.ts";

const others = ["ada", "bob", "cleo", "dan"].filter((name) => name !== user);
/** The names of the talks by their rooms. A direct room has the same id for both of its users. */
const talks = new Map([[team, "Team"], ...others.map((name) => [directRoom(user, name), nameOf(name)] as const)]);
let room = team;
/** The rooms of the unread messages, by the ids of the messages. */
const unread = new Map<string, string>();
/** The reasons why rooms cannot be joined. */
const refused = new Map<string, string>();

const rooms = [...talks.keys()].map((roomId) => ({ roomId }));
const tidings = connectTidings({ url: "/", token: fetchToken, subscribe: { rooms } });

showState(tidings);
showBadge(tidings);

tidings.on("message", (message) => {
  const mine = message.actor?.id === user;
  if (message.event === "typing" && !mine && message.roomId === room) showTyping(`${message.actor?.name} is typing…`);
  if (message.kind !== Kind.NOTIFICATION) return;
  if (!mine) unread.set(message.id, message.roomId);
  if (message.roomId === room) {
    showTyping("");
    lines.add(message);
  }
  readOpenTalk();
});
tidings.on("room", ({ roomId, status, reason, message }) => {
  if (status === "joined") refused.delete(roomId);
  else refused.set(roomId, reason === "ROOM_FORBIDDEN" ? "this room is for its members." : message);
  showTalks();
});
tidings.on("caughtUp", async () => {
  const { messages } = await tidings.listUnread({ pageSize: 100 });
  for (const { id, roomId } of messages) unread.set(id, roomId);
  await open(room);
});
tidings.on("readState", ({ readIds }) => {
  for (const id of readIds) unread.delete(id);
  showTalks();
});

/** Shows a talk with its earlier lines, newest last. */
async function open(roomId: string): Promise<void> {
  room = roomId;
  showTyping("");
  readOpenTalk();
  lines.reset([]);
  if (refused.has(roomId)) return;
  const { messages } = await tidings.listMessages({ roomId, kinds: [Kind.NOTIFICATION], pageSize: 50 });
  if (room === roomId) for (const message of messages) lines.add(message);
}

/** Marks the messages of the open talk as read. */
function readOpenTalk(): void {
  const ids = [...unread].filter(([, roomId]) => roomId === room).map(([id]) => id);
  if (ids.length > 0) void tidings.markRead({ ids });
  for (const id of ids) unread.delete(id);
  showTalks();
}

function showTalks(): void {
  const counts = [...unread.values()];
  const tabs = [...talks].map(([roomId, name]) => {
    const count = counts.filter((unreadRoom) => unreadRoom === roomId).length;
    const tab = button(count ? `${name} (${count})` : name, () => void open(roomId), "tab");
    tab.ariaCurrent = roomId === room ? "true" : "false";
    return tab;
  });
  find("nav").replaceChildren(...tabs);
  const why = refused.get(room);
  find("form").hidden = why !== undefined;
  find(".empty").textContent = why === undefined ? "Nobody has said anything yet." : `You cannot enter: ${why}`;
}

const lines = new MessageList(find("#lines"), (message: Message) => {
  const mine = message.actor?.id === user;
  const item = make("li", mine ? "line mine" : "line");
  const header = mine ? timeOf(message) : `${message.actor?.name} · ${timeOf(message)}`;
  item.append(make("small", "", header), make("p", "", message.content));
  return item;
});

let typingTimer: ReturnType<typeof setTimeout> | undefined;

function showTyping(text: string): void {
  find("#typing").textContent = text;
  clearTimeout(typingTimer);
  typingTimer = setTimeout(() => showTyping(""), 3_000);
}

const form = find<HTMLFormElement>("form");
let typingSentAt = 0;
form.oninput = () => {
  if (Date.now() - typingSentAt < 2_000) return;
  typingSentAt = Date.now();
  // An event without a ttl is not stored; losing it does no harm.
  tidings.publish({ roomId: room, kind: "event", event: "typing" }).catch(() => {});
};
onSubmit(form, async ({ text = "" }) => {
  typingSentAt = 0;
  const requestId = crypto.randomUUID();
  await tidings.publish({ roomId: room, kind: "notification", event: "line", content: text, requestId });
  return undefined;
});
document.title = `Chat · ${nameOf(user)}`;
