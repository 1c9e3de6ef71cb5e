/** A page with a badge, a sound that only one page plays, and the number of users online in its title. */
import { connectTidings, Kind } from "tidings-client";
import { button, fetchToken, find, make, showState, timeOf } from "../shared/browser.ts";
import { MessageList } from "../shared/list.ts";

const tidings = connectTidings({ url: "/", token: fetchToken, subscribe: { onlineCount: true } });

showState(tidings);
tidings.unread.subscribe(showNumbers);
tidings.online.subscribe(showNumbers);

function showNumbers(): void {
  const unread = tidings.unread.value?.total ?? 0;
  const { users = 0, connections = 0 } = tidings.online.value ?? {};
  const badge = find(".badge");
  badge.textContent = badge.dataset.count = String(unread);
  find(".online").textContent = `${users} online, ${connections} pages`;
  document.title = `${unread ? `(${unread}) ` : ""}ERP · ${users} online`;
}

tidings.on("message", (message) => {
  if (message.kind === Kind.NOTIFICATION) inbox.add(message);
  // True on one page of each receiver, and never for an old message.
  if (message.alert) void ring(message.title);
});
tidings.on("caughtUp", async () => inbox.reset((await tidings.listUnread()).messages));
tidings.on("readState", ({ readIds, deletedIds, all }) => {
  inbox.remove([...readIds, ...deletedIds]);
  if (all) inbox.reset([]);
});

const inbox = new MessageList(find("#inbox"), (message) => {
  const item = make("li");
  item.append(make("div", "", message.title), make("small", "", timeOf(message)));
  item.append(button("Read", () => void tidings.markRead({ ids: [message.id] })));
  return item;
});
find(".all").onclick = () => void tidings.markRead({ all: true });

let rings = 0;

/** Plays two notes. A browser keeps a page silent until its user has clicked into it; then the page says so. */
async function ring(title: string): Promise<void> {
  rings += 1;
  const audio = new AudioContext();
  const silent = audio.state === "suspended" && !navigator.userActivation?.hasBeenActive;
  find("#sound").textContent = `${silent ? "Would have rung (click into this page first)" : "♪ Rang"}: ${title}`;
  find("#sound").dataset.rings = String(rings);
  for (const [index, frequency] of [880, 1175].entries()) {
    const start = audio.currentTime + index * 0.15;
    const volume = new GainNode(audio, { gain: 0 });
    volume.gain.linearRampToValueAtTime(0.2, start + 0.02);
    volume.gain.linearRampToValueAtTime(0, start + 0.3);
    const note = new OscillatorNode(audio, { frequency });
    note.connect(volume).connect(audio.destination);
    note.start(start);
    note.stop(start + 0.3);
  }
  setTimeout(() => void audio.close(), 1_000);
}
