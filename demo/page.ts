/** The demo page: two users of one company side by side, each with a client of their own. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Kind, type Message } from "../gen/tidings/v1/message_pb.ts";
import { connectTidings, type PublishRequest, type TidingsClient } from "../src/client/index.ts";

/** Fetches a fresh token, as a company's own backend would issue it after login. */
async function tokenOf(name: string): Promise<string> {
  const response = await fetch("/demo/session", { cache: "no-store" });
  if (!response.ok) throw new Error(`no session: ${response.status}`);
  return ((await response.json()) as Record<string, string>)[name] as string;
}

function find<T extends Element>(parent: ParentNode, selector: string): T {
  const element = parent.querySelector<T>(selector);
  if (!element) throw new Error(`the page has no ${selector}`);
  return element;
}

function cloneOf(template: string): DocumentFragment {
  return find<HTMLTemplateElement>(document, template).content.cloneNode(true) as DocumentFragment;
}

const kindNames: Readonly<Record<number, string>> = {
  [Kind.NOTIFICATION]: "notification",
  [Kind.ACTIVITY]: "activity",
  [Kind.EVENT]: "event",
};

/** Shows the error of an action in the form's output. */
function report(error: unknown): void {
  find(document, "#answer").textContent = error instanceof Error ? error.message : String(error);
}

/** The page of one user. */
class Panel {
  readonly #client: TidingsClient;
  readonly #section: HTMLElement;
  readonly #list: HTMLUListElement;
  readonly #items = new Map<string, HTMLLIElement>();

  constructor(section: HTMLElement) {
    const user = section.dataset.user as string;
    this.#section = section;
    section.append(cloneOf("#panel"));
    find(section, "h2").textContent = user === "ada" ? "Ada" : "Bob";
    this.#list = find(section, "ul");
    this.#client = connectTidings({ url: "/", token: () => tokenOf(user), subscribe: { onlineCount: true } });
    this.#watch();
    find<HTMLButtonElement>(section, ".all").onclick = () => {
      this.#client.markRead({ all: true }).catch(report);
    };
  }

  #watch(): void {
    const badge = find<HTMLElement>(this.#section, ".badge");
    const online = find(this.#section, ".online");
    const state = find<HTMLElement>(this.#section, ".state");
    this.#client.unread.subscribe((totals) => {
      badge.textContent = badge.dataset.count = String(totals?.total ?? 0);
    });
    this.#client.online.subscribe((count) => {
      online.textContent = count
        ? `${count.users} online, ${count.connections} ${count.connections === 1 ? "page" : "pages"}`
        : "";
    });
    this.#client.state.subscribe((now) => {
      state.textContent = now === "live" || now === "closed" ? now : "connecting…";
      state.dataset.state = now;
    });
    this.#client.on("message", (message) => this.#show(message, false));
    this.#client.on("caughtUp", () => this.#load());
    this.#client.on("readState", ({ readIds, unreadIds, deletedIds, all }) => {
      for (const id of readIds) this.#mark(id, true);
      for (const id of unreadIds) this.#mark(id, false);
      for (const id of deletedIds) this.#items.get(id)?.remove();
      if (all) for (const id of this.#items.keys()) this.#mark(id, true);
      // There were too many messages to name, so list again.
      else if (readIds.length + unreadIds.length + deletedIds.length === 0) this.#load();
    });
  }

  /** Lists the stored messages, read or not, so that a page shows the same after a reload. */
  #load(): void {
    this.#client.listMessages({ pageSize: 50 }).then(({ messages }) => {
      for (const message of messages) this.#show(message, message.read);
    }, report);
  }

  #show(message: Message, read: boolean): void {
    const counted = message.kind === Kind.NOTIFICATION;
    if (!this.#items.has(message.id)) this.#add(message, counted);
    this.#mark(message.id, read || !counted);
  }

  #add(message: Message, counted: boolean): void {
    const item = find<HTMLLIElement>(cloneOf("#item"), "li");
    const time = message.publishTime ? timestampDate(message.publishTime).toLocaleTimeString() : "";
    find(item, "strong").textContent = message.title;
    find(item, "small").textContent = [kindNames[message.kind], message.category, time].filter(Boolean).join(" · ");
    const ids = [message.id];
    find<HTMLButtonElement>(item, ".toggle").onclick = () => {
      this.#client.markRead({ ids, unread: item.classList.contains("read") }).catch(report);
    };
    find<HTMLButtonElement>(item, ".delete").onclick = () => {
      this.#client.deleteMessages({ ids }).catch(report);
    };
    for (const button of item.querySelectorAll("button")) button.hidden = !counted;
    this.#items.set(message.id, item);
    this.#insert(item, message.id);
  }

  /** Inserts an item, newest first, in any order of arrival: ids sort by publish time. */
  #insert(item: HTMLLIElement, id: string): void {
    item.dataset.id = id;
    const items = [...this.#list.children] as HTMLLIElement[];
    this.#list.insertBefore(item, items.find(({ dataset }) => (dataset.id as string) < id) ?? null);
  }

  #mark(id: string, read: boolean): void {
    const item = this.#items.get(id);
    if (!item) return;
    item.classList.toggle("read", read);
    find(item, ".toggle").textContent = read ? "Mark unread" : "Mark read";
  }
}

/** The plain form's audience for a choice of the form: one of the two users, both, or the company. */
function audienceOf(to: string): Pick<PublishRequest, "userId" | "users" | "tenant"> {
  if (to === "company") return { tenant: true };
  return to === "both" ? { users: ["ada", "bob"] } : { userId: to };
}

/** Makes the form publish as the company's backend. */
function publisher(form: HTMLFormElement): void {
  const backend = connectTidings({ url: "/", token: () => tokenOf("backend") });
  const answer = find(form, "output");
  form.onsubmit = async (event) => {
    event.preventDefault();
    const data = new FormData(form);
    try {
      const { messageId, receipts } = await backend.publish({
        ...audienceOf(String(data.get("to"))),
        kind: data.get("kind") as PublishRequest["kind"],
        title: String(data.get("title")),
        category: String(data.get("category")),
        requestId: crypto.randomUUID(),
      });
      const people = receipts.map(({ userId, online }) => `${userId} is ${online ? "online" : "offline"}`).join(", ");
      answer.textContent = `published ${messageId}${people ? ` — ${people}` : ""}`;
    } catch (error) {
      report(error);
    }
  };
}

for (const section of document.querySelectorAll<HTMLElement>("main section")) new Panel(section);
publisher(find(document, "#publish"));
