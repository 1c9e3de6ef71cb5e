/** What the pages of all examples need besides Tidings: who is logged in, their backend, and the DOM. */
import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { timestampDate, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Message, TidingsClient } from "tidings/client";

/** Who is logged in on this page. */
export const user = new URLSearchParams(location.search).get("user") ?? "";

/** Gets a fresh token from the company's own site, as your pages would with their session cookie. */
export async function fetchToken(): Promise<string> {
  const { token } = (await read(await fetch(`/session?user=${user}`))) as { token: string };
  return token;
}

/** Asks the example's backend. Throws an Error with its sentence when it refuses. */
export async function ask<T>(action: string, input: Readonly<Record<string, string>> = {}): Promise<T> {
  const headers = { "content-type": "application/json" };
  return (await read(
    await fetch(`/api/${action}?user=${user}`, { method: "POST", headers, body: JSON.stringify(input) }),
  )) as T;
}

async function read(response: Response): Promise<unknown> {
  const answer = (await response.json()) as { error?: string };
  if (!response.ok) throw new Error(answer.error ?? `the backend said ${response.status}`);
  return answer;
}

/** The element that a page must have. */
export function find<T extends HTMLElement = HTMLElement>(selector: string, parent: ParentNode = document): T {
  const element = parent.querySelector<T>(selector);
  if (!element) throw new Error(`the page has no ${selector}`);
  return element;
}

/** A new element with a class and a text: never HTML, whatever a message says. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** A button that does something. */
export function button(text: string, onclick: () => void, className = ""): HTMLButtonElement {
  return Object.assign(make("button", className, text), { type: "button" as const, onclick });
}

/** Calls `submit` with the fields of a form; its answer, or why not, goes to the form's `output`. */
export function onSubmit(
  form: HTMLFormElement,
  submit: (input: Record<string, string>) => Promise<string | undefined>,
): void {
  form.onsubmit = async (event) => {
    event.preventDefault();
    const input = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
    const output = form.querySelector("output") ?? make("output");
    try {
      output.textContent = (await submit(input)) ?? "";
      for (const field of form.querySelectorAll<HTMLInputElement>("[data-clear]")) {
        // The next entry may have been begun meanwhile.
        if (field.value === input[field.name]) field.value = "";
      }
    } catch (error) {
      output.textContent = error instanceof Error ? error.message : String(error);
    }
  };
}

/** Shows whether the page is connected, in the element `.state`. */
export function showState(tidings: TidingsClient): void {
  const element = find(".state");
  tidings.state.subscribe((state) => {
    element.dataset.state = state;
    element.textContent = state === "live" || state === "closed" ? state : "connecting…";
  });
}

/** Shows how many messages are unread, in the element `.badge`. */
export function showBadge(tidings: TidingsClient): void {
  const element = find(".badge");
  tidings.unread.subscribe((totals) => {
    element.textContent = element.dataset.count = String(totals?.total ?? 0);
  });
}

/** The data of a message as plain JSON. */
export function dataOf<T>({ payload }: Message): T | undefined {
  return payload.case === "json" ? (toJson(ValueSchema, payload.value) as JsonValue & T) : undefined;
}

/** When a message was published, as a time of day. */
export function timeOf({ publishTime }: Message): string {
  return publishTime ? timestampDate(publishTime).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : "";
}
