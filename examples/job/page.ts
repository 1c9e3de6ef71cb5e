/** A page that starts a job and shows its stages, also after a reload. */
import { connectTidings, Kind, type Message } from "tidings-client";
import {
  ask,
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
import type { Stage } from "./backend.ts";

/** The storage key of the job's room, which is all that the page needs to show the job again after a reload. */
const storageKey = `job of ${user}`;
let room = localStorage.getItem(storageKey) ?? "";

const tidings = connectTidings({
  url: "/",
  token: fetchToken,
  subscribe: { rooms: room ? [{ roomId: room }] : [] },
});

showState(tidings);
showBadge(tidings);

tidings.on("message", (message) => {
  if (message.roomId === room && message.event === "stage") showStage(message);
  if (message.kind === Kind.NOTIFICATION) inbox.add(message);
});
tidings.on("room", ({ roomId, status, message }) => {
  if (status === "refused") find("#watch output").textContent = `Refused: ${message}`;
  // The server replays the stages of the room after this event, from the first one.
  else if (status === "joined") showJob(roomId);
});
tidings.on("caughtUp", async () => inbox.reset((await tidings.listUnread()).messages));
tidings.on("readState", ({ readIds, all }) => (all ? inbox.reset([]) : inbox.remove(readIds)));

/** Shows the job of a room, and leaves the room of the job shown before. */
function showJob(roomId: string): void {
  if (room !== roomId) find("#stages").replaceChildren();
  if (room && room !== roomId) tidings.leave(room);
  room = roomId;
  localStorage.setItem(storageKey, room);
  find("#name").textContent = room;
  find("#watch output").textContent = "";
}

function showStage(message: Message): void {
  const data = dataOf<Stage>(message);
  if (!data) return;
  const { stage, of, text, failed } = data;
  const over = stage === of;
  find("#job").hidden = false;
  if (!failed) find<HTMLProgressElement>("progress").value = stage;
  find("#percent").textContent = failed ? "failed" : `${Math.round((100 * stage) / of)} %`;
  for (const before of find("#stages").children) before.className = "done";
  const item = make("li", failed ? "failed" : over ? "done" : "running");
  item.append(make("span", "", text), make("small", "", timeOf(message)));
  find("#stages").append(item);
}

const inbox = new MessageList(find("#inbox"), (message) => {
  const item = make("li");
  item.append(make("div", "", message.title), make("small", "", timeOf(message)));
  return item;
});

onSubmit(find<HTMLFormElement>("#start"), async (input) => {
  const { roomId } = await ask<{ roomId: string }>("start", input);
  tidings.join(roomId);
  return undefined;
});
onSubmit(find<HTMLFormElement>("#watch"), async (input) => {
  tidings.join(input.room ?? "");
  return undefined;
});
find(".all").onclick = () => void tidings.markRead({ all: true });
document.title = `Reports · ${nameOf(user)}`;
