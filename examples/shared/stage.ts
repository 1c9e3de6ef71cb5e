/** The first page of every example: suggestions to try, and the users' pages as windows side by side. */
import type { Example, ExampleWindow } from "./example.ts";

type Description = Pick<Example, "title" | "about" | "tries" | "windows">;

function make<K extends keyof HTMLElementTagNameMap>(tag: K, className = "", text = ""): HTMLElementTagNameMap[K] {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

/** A page in a frame, with the controls of a browser window. */
class Pane {
  readonly element = make("section", "window");
  readonly #frame = make("iframe");
  readonly #title = make("span", "title");
  readonly #toggle = make("button");
  readonly #address: string;
  #open = false;

  constructor({ label, page = "page", user, closed }: ExampleWindow) {
    this.#address = `/${page}${user === undefined ? "" : `?user=${user}`}`;
    this.#frame.title = label;
    this.#frame.onload = () => this.#watchTitle();
    const bar = make("header", "bar");
    const reload = make("button", "", "Reload");
    reload.onclick = () => this.#open && this.#frame.contentWindow?.location.reload();
    this.#toggle.onclick = () => this.#set(!this.#open);
    const tab = Object.assign(make("a", "", "Own tab"), { href: this.#address, target: "_blank" });
    bar.append(make("strong", "", label), this.#title, reload, this.#toggle, tab);
    const away = make("p", "away", "This page is closed.");
    this.element.append(bar, away, this.#frame);
    this.#set(!closed);
  }

  #set(open: boolean): void {
    this.#open = open;
    this.element.classList.toggle("closed", !open);
    this.#toggle.textContent = open ? "Close" : "Open";
    this.#title.textContent = "";
    // Replace the location, so that the Back button of the browser does not navigate the frames.
    this.#frame.contentWindow?.location.replace(open ? this.#address : "about:blank");
    this.#frame.src = open ? this.#address : "about:blank";
  }

  /** Shows the title of the page, as a tab would. */
  #watchTitle(): void {
    const page = this.#frame.contentDocument;
    if (!page || !this.#open) return;
    const show = () => {
      this.#title.textContent = page.title;
    };
    show();
    new MutationObserver(show).observe(page.head, { childList: true, subtree: true, characterData: true });
  }
}

const { title, about, tries, windows } = (await (await fetch("/example")).json()) as Description;
document.title = `${title} · Tidings`;
document.querySelector("h1")?.replaceChildren(title);
document.querySelector("header p")?.append(about);
for (const text of tries) document.querySelector("ol")?.append(make("li", "", text));
document.querySelector("main")?.append(...windows.map((window) => new Pane(window).element));
