/** Helpers of all example pages besides Tidings: the session, the backend and the DOM. */
import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { timestampDate, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Message, TidingsClient } from "tidings-client";

/** The user who is logged in on this page. */
export const user = new URLSearchParams(location.search).get("user") ?? "";

/** Fetches a fresh token from the company's own site, as your pages would do with their session cookie. */
export async function fetchToken(): Promise<string> {
  const { token } = (await read(await fetch(`/session?user=${user}`))) as { token: string };
  return token;
}

/** Calls an action of the example's backend. Throws an Error with the backend's message when it refuses. */
export async function ask<T>(action: string, input: Readonly<Record<string, string>> = {}): Promise<T> {
  const headers = { "content-type": "application/json" };
  return (await read(
    await fetch(`/api/${action}?user=${user}`, { method: "POST", headers, body: JSON.stringify(input) }),
  )) as T;
}

async function read(response: Response): Promise<unknown> {
  const answer = (await response.json()) as { error?: string };
  if (!response.ok) throw new Error(answer.error ?? `the backend answered with status ${response.status}`);
  return answer;
}

/** The element with this selector. Throws if the page has none. */
export function find<T extends HTMLElement = HTMLElement>(selector: string, parent: ParentNode = document): T {
  const element = parent.querySelector<T>(selector);
  if (!element) throw new Error(`the page has no ${selector}`);
  return element;
}

/** Creates an element with a class and a text, which is never parsed as HTML. */
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

/** Creates a button. */
export function button(text: string, onclick: () => void, className = ""): HTMLButtonElement {
  return Object.assign(make("button", className, text), { type: "button" as const, onclick });
}

/** Calls `submit` with the fields of a form, and shows its result or its error in the form's `output`. */
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
        // Keep the field if its user has started the next entry meanwhile.
        if (field.value === input[field.name]) field.value = "";
      }
    } catch (error) {
      output.textContent = error instanceof Error ? error.message : String(error);
    }
  };
}

/** Shows the state of the connection in the element `.state`. */
export function showState(tidings: TidingsClient): void {
  const element = find(".state");
  tidings.state.subscribe((state) => {
    element.dataset.state = state;
    element.textContent = state === "live" || state === "closed" ? state : "connecting…";
  });
}

/** Shows the number of unread messages in the element `.badge`. */
export function showBadge(tidings: TidingsClient): void {
  const element = find(".badge");
  tidings.unread.subscribe((totals) => {
    element.textContent = element.dataset.count = String(totals?.total ?? 0);
  });
}

/** The data of a message as plain JSON; undefined if it has none. */
export function dataOf<T>({ payload }: Message): T | undefined {
  return payload.case === "json" ? (toJson(ValueSchema, payload.value) as JsonValue & T) : undefined;
}

/** The time of day at which a message was published. */
export function timeOf({ publishTime }: Message): string {
  return publishTime ? timestampDate(publishTime).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : "";
}
