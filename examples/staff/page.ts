/** A clerk's desk: the waiting orders, the order that a notification links to, and the right to be the only desk. */
import { connectTidings, escapeId, Kind } from "tidings-client";
import { fetchToken, find, make, showBadge, showState, timeOf, user } from "../shared/browser.ts";
import { nameOf } from "../shared/example.ts";
import { MessageList } from "../shared/list.ts";

/** The room of the desk: one per clerk, taken by the newest page. */
const desk = { roomId: `desk/${escapeId(user)}`, mode: "last" } as const;

const tidings = connectTidings({ url: "/", token: fetchToken, subscribe: { rooms: [desk] } });

showState(tidings);
showBadge(tidings);

tidings.on("message", (message) => {
  if (message.kind === Kind.NOTIFICATION) inbox.add(message);
  if (message.event !== "announcement") return;
  find("#banner").hidden = false;
  find("#banner").textContent = message.title;
});
tidings.on("caughtUp", async () => inbox.reset((await tidings.listUnread({ pageSize: 100 })).messages));
tidings.on("readState", ({ readIds, all }) => (all ? inbox.reset([]) : inbox.remove(readIds)));

tidings.on("room", ({ status, reason, message }) => {
  const mine = status === "joined";
  find("#elsewhere").hidden = mine;
  find("#work").hidden = !mine;
  find("#why").textContent = reason === "ROOM_TAKEN" ? "Another page of yours has taken it." : message;
});
// A page that was kicked does not join again by itself, or two pages would take the desk from each other forever.
find("#here").onclick = () => tidings.join(desk.roomId, { mode: desk.mode });

const inbox = new MessageList(find("#inbox"), (message) => {
  const item = make("li");
  const words = make("div");
  const link = make("a", "", message.title);
  // The server accepts only https, http and relative URLs, so that the URL of a message is safe in a link.
  link.href = message.url;
  link.onclick = () => void tidings.markRead({ ids: [message.id] });
  words.append(link, make("p", "muted", message.content));
  item.append(words, make("small", "", timeOf(message)));
  return item;
});

/** Shows the order in the page's address, which may come from a bookmark or a mail. */
function route(): void {
  const [, order = ""] = /^#\/orders\/(.+)$/.exec(location.hash) ?? [];
  find("#order").hidden = !order;
  find("#number").textContent = order;
}
addEventListener("hashchange", route);
route();
document.title = `Desk of ${nameOf(user)}`;
