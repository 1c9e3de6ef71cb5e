/** A user's mail: letters by folder, with the number of unread ones in each, and a form to write one. */
import { connectTidings, Kind, type Message } from "tidings-client";
import {
  ask,
  button,
  fetchToken,
  find,
  make,
  onSubmit,
  showBadge,
  showState,
  timeOf,
  user,
} from "../shared/browser.ts";
import { nameOf } from "../shared/example.ts";
import { MessageList } from "../shared/list.ts";
import type { Sent } from "./backend.ts";

const tidings = connectTidings({ url: "/", token: fetchToken });
/** The categories of the letters; the empty one stands for all. */
const folders = ["", "private", "public"];
let folder = "";

showState(tidings);
showBadge(tidings);
tidings.unread.subscribe((totals) => {
  const tabs = folders.map((name) => {
    const count = name ? (totals?.byCategory[name] ?? 0) : (totals?.total ?? 0);
    return button(`${name ? nameOf(name) : "All"} ${count || ""}`.trim(), () => void open(name), "tab");
  });
  find("nav").replaceChildren(...tabs);
  markTab();
});

tidings.on("message", (message) => {
  if (message.kind !== Kind.NOTIFICATION || (folder && folder !== message.category)) return;
  letters.add(message);
});
tidings.on("message", ({ id, actor }) => {
  // A letter to everybody is also for its writer, who need not read it.
  if (actor?.id === user) void tidings.markRead({ ids: [id] });
});
tidings.on("caughtUp", () => open(folder));
tidings.on("readState", ({ readIds, unreadIds, deletedIds, all }) => {
  // Recalled by its sender or deleted by this user: removed from all of the user's pages at once.
  letters.remove(deletedIds);
  for (const id of readIds) letters.get(id)?.classList.add("read");
  for (const id of unreadIds) letters.get(id)?.classList.remove("read");
  if (all) letters.each((item) => item.classList.add("read"));
});

/** Shows the letters of a folder, read or not, newest first. */
async function open(name: string): Promise<void> {
  folder = name;
  markTab();
  const { messages } = await tidings.listMessages({
    kinds: [Kind.NOTIFICATION],
    categories: name ? [name] : [],
    pageSize: 50,
  });
  if (folder === name) letters.reset(messages);
}

function markTab(): void {
  for (const [index, tab] of [...find("nav").children].entries()) {
    tab.ariaCurrent = folders[index] === folder ? "true" : "false";
  }
}

const letters = new MessageList(find("#letters"), (message: Message) => {
  const item = make("li", message.read ? "letter read" : "letter");
  const words = make("div");
  const from = `${message.actor?.name} · ${message.category} · ${timeOf(message)}`;
  const body = make("p", "body", message.content);
  body.hidden = true;
  words.append(make("strong", "", message.title), make("small", "", from), body);
  const read = button("Read", () => {
    body.hidden = !body.hidden;
    if (!item.classList.contains("read")) void tidings.markRead({ ids: [message.id] });
  });
  item.append(make("span", "face", message.actor?.name.slice(0, 1)), words, read);
  item.append(button("Delete", () => void tidings.deleteMessages({ ids: [message.id] })));
  return item;
});

find("#read").onclick = () => void tidings.markRead(folder ? { categories: [folder] } : { all: true });

const form = find<HTMLFormElement>("form");
const others = ["ada", "bob", "cleo"].filter((name) => name !== user);
for (const name of [...others, "everybody"]) find("select", form).append(new Option(nameOf(name), name));

/** Stays the same until the letter is sent, so that a retry does not send it twice. */
let requestId = crypto.randomUUID();
onSubmit(form, async (input) => {
  const { messageId, answer } = await ask<Sent>("send", { ...input, requestId });
  requestId = crypto.randomUUID();
  const recall = find("#recall");
  recall.hidden = false;
  recall.onclick = async () => {
    recall.hidden = true;
    await ask("recall", { messageId });
    find("output", form).textContent = "Taken back from all receivers.";
  };
  return answer;
});
document.title = `Mail · ${nameOf(user)}`;
