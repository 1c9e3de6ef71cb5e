/** A chat needs no backend but the login, whose tokens name the rooms that a user may join and publish to. */
import type { Example } from "../shared/example.ts";

/** The group's room. */
export const team = "group/team";

/** The example. */
export const example: Example = {
  title: "A chat between two users and in a group",
  about:
    "A group is a room that the tokens of its members name; a talk between two is a direct room, which nobody else can join. " +
    "Lines are stored and unread for each member, so a member who was away finds them. Typing is shown live only.",
  tries: [
    "Ada and Bob: write in Team and to each other. All members see the lines of a room in the same order.",
    "Write in Team, then open Cleo's page: the talk is there, and unread.",
    "Open Dan's page: his token does not name the team's room. He can still talk with each of the others.",
  ],
  windows: [
    { label: "Ada", user: "ada" },
    { label: "Bob", user: "bob" },
    { label: "Cleo", user: "cleo", closed: true },
    { label: "Dan, not in the team", user: "dan", closed: true },
  ],
  grants: (user) => (user === "dan" ? {} : { rooms: [team], publish: [team] }),
  backend: () => ({}),
};
