/** What an example consists of, besides its pages. */
import type { Client } from "@connectrpc/connect";
import type { PushService } from "tidings/gen";

/** The generated client of the contract, with a backend's token. */
export type Push = Client<typeof PushService>;

/** What a page may ask of its backend: `user` is who is logged in, `input` what the page sent. Throws a Refusal. */
export type Action = (user: string, input: Readonly<Record<string, string>>) => Promise<unknown>;

/** One of the small browser windows that the first page shows. */
export interface ExampleWindow {
  /** Whose window it is, such as `Ada's desk`. */
  readonly label: string;
  /** The page's file in the example's folder, without `.html`. Default: `page`. */
  readonly page?: string;
  /** Who is logged in there. */
  readonly user?: string;
  /** Not open at first. Default: open. */
  readonly closed?: boolean;
}

/** An example: what is told about it, who takes part, and its backend. */
export interface Example {
  readonly title: string;
  /** What it shows, in a sentence or two. */
  readonly about: string;
  /** What a newcomer may try, in this order. */
  readonly tries: readonly string[];
  readonly windows: readonly ExampleWindow[];
  /** Rooms that a user's token opens: to enter, and to publish to. Default: none. */
  readonly grants?: (user: string) => { readonly rooms?: readonly string[]; readonly publish?: readonly string[] };
  /** The backend: what pages may ask it, by name. */
  backend(push: Push): Readonly<Record<string, Action>>;
}

/** Something that a user did wrong: the page shows the sentence. */
export class Refusal extends Error {}

/** A field that must be there. */
export function required(input: Readonly<Record<string, string>>, field: string): string {
  const value = input[field]?.trim();
  if (!value) throw new Refusal(`${field}: write something`);
  return value;
}

/** What a user is called: the examples know nobody's family name. */
export function nameOf(user: string): string {
  return `${user.slice(0, 1).toUpperCase()}${user.slice(1)}`;
}
