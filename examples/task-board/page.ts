/** A colleague's page: the board, the user's notifications, and the timeline of the company. */
import { connectTidings, Kind, type Message } from "tidings-client";
import {
  ask,
  button,
  dataOf,
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
import type { Task } from "./backend.ts";

const tidings = connectTidings({ url: "/", token: fetchToken, subscribe: { onlineCount: true } });

showState(tidings);
showBadge(tidings);
tidings.online.subscribe((online) => {
  find(".online").textContent = online ? `${online.users} online` : "";
});

tidings.on("message", (message) => {
  if (message.kind === Kind.NOTIFICATION) inbox.add(message);
  if (message.kind !== Kind.ACTIVITY) return;
  if (!shown || shown === message.object?.id) timeline.add(message);
  const task = dataOf<Task>(message);
  if (task) showTask(task);
});
tidings.on("caughtUp", load);
tidings.on("readState", ({ readIds, deletedIds, all }) => {
  inbox.remove([...readIds, ...deletedIds]);
  if (all) inbox.reset([]);
});

/** Loads the tasks, the notifications and the timeline. All are stored, so a reload shows them again. */
async function load(): Promise<void> {
  const [unread, tasks] = await Promise.all([tidings.listUnread(), ask<Task[]>("tasks"), loadTimeline()]);
  inbox.reset(unread.messages);
  for (const task of tasks) showTask(task);
}

/** The task whose log is shown; empty for the log of the whole company. */
let shown = "";

async function loadTimeline(task = shown): Promise<void> {
  shown = task;
  find("#everything").hidden = !task;
  find("#log-title").textContent = task ? `Log of task ${task}` : "Activity";
  const { messages } = await tidings.listMessages({
    kinds: [Kind.ACTIVITY],
    ...(task ? { object: { type: "task", id: task } } : {}),
  });
  timeline.reset(messages);
}

const inbox = new MessageList(find("#inbox"), (message) => {
  const item = row(message, `${message.title}: ${message.content}`);
  // The URL of the message links to the task; marking it as read is a call of its own.
  const open = () => {
    location.hash = message.url;
    void tidings.markRead({ ids: [message.id] });
  };
  item.append(button("Open", open));
  return item;
});

const timeline = new MessageList(find("#timeline"), (message) =>
  row(message, `${message.actor?.name} ${message.title}: ${message.content}`),
);

function row(message: Message, text: string): HTMLElement {
  const item = make("li");
  const words = make("div", "", text);
  item.append(make("span", "face", message.actor?.name.slice(0, 1)), words, make("small", "", timeOf(message)));
  return item;
}

function showTask({ id, title, assignee, done }: Task): void {
  const item = make("li", done ? "task read" : "task");
  item.id = `task-${id}`;
  const words = make("div");
  words.append(
    make("strong", "", title),
    make("small", "", assignee ? `${id} · ${nameOf(assignee)}` : `${id} · nobody yet`),
  );
  item.append(
    words,
    button("Log", () => void loadTimeline(id)),
  );
  if (!done) {
    const select = make("select");
    select.ariaLabel = "Give to";
    for (const name of ["", "ada", "bob", "cleo"]) select.append(new Option(name ? nameOf(name) : "Give to…", name));
    select.onchange = () => void ask("assign", { task: id, to: select.value });
    item.append(
      select,
      button("Done", () => void ask("finish", { task: id })),
    );
  }
  const old = document.getElementById(item.id);
  if (old) old.replaceWith(item);
  else find("#tasks").prepend(item);
}

find(".all").onclick = () => void tidings.markRead({ all: true });
find("#everything").onclick = () => void loadTimeline("");
onSubmit(find<HTMLFormElement>("form"), async (input) => {
  await ask("create", input);
  return undefined;
});
document.title = `Tasks · ${nameOf(user)}`;
