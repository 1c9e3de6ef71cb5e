/** A clerk's desk: what waits, the order that a notification leads to, and the right to be the only desk. */
import { connectTidings, escapeId, Kind } from "tidings/client";
import { fetchToken, find, make, showBadge, showState, timeOf, user } from "../shared/browser.ts";
import { nameOf } from "../shared/example.ts";
import { MessageList } from "../shared/list.ts";

/** One desk per person: the newest page takes it. */
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

tidings.on("room", ({ status, code, reason }) => {
  const mine = status === "joined";
  find("#elsewhere").hidden = mine;
  find("#work").hidden = !mine;
  find("#why").textContent = code === "already_exists" ? "Another page of yours has taken it." : reason;
});
// A page that was kicked does not come back by itself: two pages would take the desk from each other for ever.
find("#here").onclick = () => tidings.join(desk.roomId, { mode: desk.mode });

const inbox = new MessageList(find("#inbox"), (message) => {
  const item = make("li");
  const words = make("div");
  const link = make("a", "", message.title);
  // Only https, http and relative addresses get through the server, so a message's url is safe to be a link.
  link.href = message.url;
  link.onclick = () => void tidings.markRead({ ids: [message.id] });
  words.append(link, make("p", "muted", message.content));
  item.append(words, make("small", "", timeOf(message)));
  return item;
});

/** Goes where the address says: also when it was opened from a bookmark or a mail. */
function route(): void {
  const [, order = ""] = /^#\/orders\/(.+)$/.exec(location.hash) ?? [];
  find("#order").hidden = !order;
  find("#number").textContent = order;
}
addEventListener("hashchange", route);
route();
document.title = `Desk of ${nameOf(user)}`;
