/** A chat needs no backend but the login: the tokens that it hands out say who may enter and speak where. */
import type { Example } from "../shared/example.ts";

/** The group's room. */
export const team = "group/team";

/** The example. */
export const example: Example = {
  title: "A chat between two and in a group",
  about:
    "A group is a room that the members' tokens name; a talk between two is a direct room, which nobody else can enter. " +
    "Lines are stored and unread for each member, so whoever is away finds them; who is typing is live only.",
  tries: [
    "Ada and Bob: write in Team and to each other. Everybody sees the lines of a room in the same order.",
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
