/** The parts of an example, except its pages. */
import type { Client } from "@connectrpc/connect";
import type { PushService } from "tidings-client/gen";

/** The generated client of the contract, which sends the backend's token. */
export type Push = Client<typeof PushService>;

/**
 * An action that pages can call: `user` is the user who is logged in, `input` the fields that the page sent. May throw
 * a Refusal.
 */
export type Action = (user: string, input: Readonly<Record<string, string>>) => Promise<unknown>;

/** One of the windows on the first page. */
export interface ExampleWindow {
  /** The name of the window, such as `Ada's desk`. */
  readonly label: string;
  /** The page's file in the example's folder, without `.html`. Default: `page`. */
  readonly page?: string;
  /** The user who is logged in there. */
  readonly user?: string;
  /** Whether the window is closed at first. Default: open. */
  readonly closed?: boolean;
}

/** An example: its description, its windows and its backend. */
export interface Example {
  readonly title: string;
  /** The description, in two or three sentences. */
  readonly about: string;
  /** Suggestions of what to try, in this order. */
  readonly tries: readonly string[];
  readonly windows: readonly ExampleWindow[];
  /** The rooms that a user's token grants to join, to publish to and to take over. Default: none. */
  readonly grants?: (user: string) => Partial<Record<"rooms" | "publish" | "takeover", readonly string[]>>;
  /** Creates the backend: its actions by name. */
  backend(push: Push): Readonly<Record<string, Action>>;
}

/** An error of the user, whose message the page shows. */
export class Refusal extends Error {}

/** The value of a required field. Throws a Refusal if it is empty. */
export function required(input: Readonly<Record<string, string>>, field: string): string {
  const value = input[field]?.trim();
  if (!value) throw new Refusal(`${field}: write something`);
  return value;
}

/** The display name of a user: the id with a capital letter. */
export function nameOf(user: string): string {
  return `${user.slice(0, 1).toUpperCase()}${user.slice(1)}`;
}
