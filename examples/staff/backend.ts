/** The backend of a workflow: it notifies the clerk who is to handle an order, and announces news to all open desks. */
import { Kind } from "tidings-client/gen";
import { type Example, nameOf, required } from "../shared/example.ts";

/** The example. */
export const example: Example = {
  title: "Staff notifications with deep links",
  about:
    "An order for a clerk becomes a notification that links to it and waits until it is read. Each clerk has one desk: the " +
    "page that was opened last takes the desk, and the page before it shows that.",
  tries: [
    "Pass an order to Ada: a click on it opens the order and marks it as read.",
    "Pass one to Bob, who is at lunch. Open his page: it is there.",
    "Open Ada's tablet: it takes her desk. Work here takes it back.",
    "Tell all open desks something: it is live only, so a clerk who is away never gets it.",
  ],
  windows: [
    { label: "The workflow", page: "workflow" },
    { label: "Ada's desk", user: "ada" },
    { label: "Ada's tablet", user: "ada", closed: true },
    { label: "Bob's desk", user: "bob", closed: true },
  ],
  grants: () => ({ rooms: ["desk/{sub}"], takeover: ["desk/{sub}"] }),
  backend(push) {
    let orders = 1000;
    return {
      async pass(_user, input) {
        const clerk = required(input, "to");
        const step = required(input, "step");
        orders += 1;
        const order = `T${orders}`;
        const { receipts } = await push.publish({
          audience: { to: { case: "userId", value: clerk } },
          message: {
            kind: Kind.NOTIFICATION,
            category: "operation",
            event: "order",
            title: `Order ${order}: ${step}`,
            content: "Please deal with it soon.",
            url: `#/orders/${order}`,
            object: { type: "order", id: order },
          },
          // The order and its step, so that a repeated step does not notify the clerk again.
          requestId: `${order}/${step}`,
        });
        const online = receipts[0]?.online;
        return {
          answer: `${order} is with ${nameOf(clerk)}, who ${online ? "was notified" : "is away and finds it later"}.`,
        };
      },
      async tell(_user, input) {
        const { onlineUsers } = await push.publish({
          audience: { to: { case: "tenant", value: true } },
          message: { kind: Kind.EVENT, event: "announcement", title: required(input, "text") },
        });
        return { answer: `${onlineUsers} at their desks have seen it.` };
      },
    };
  },
};
