/** The backend of a company's task board: it saves a task, then informs the company and the assignee. */
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Kind } from "tidings-client/gen";
import { type Example, nameOf, Refusal, required } from "../shared/example.ts";

/** A task, as pages receive it. */
export type Task = { id: string; title: string; assignee: string; done: boolean };

/** The example. */
export const example: Example = {
  title: "A company's task board",
  about:
    "Every change of a task is an activity: everyone in the company sees it at once, and each task has its log. An " +
    "assignment is a notification, which waits for its assignee until it is read.",
  tries: [
    "Ada: add a task and give it to Bob. Bob's badge counts it, and both boards and timelines show it.",
    "Give Cleo a task while she is away, then open her page: it is there, unread.",
    "Press Log of a task: its changes are listed, newest first. Reload any page: nothing is lost.",
  ],
  windows: [
    { label: "Ada", user: "ada" },
    { label: "Bob", user: "bob" },
    { label: "Cleo", user: "cleo", closed: true },
  ],
  backend(push) {
    const tasks = new Map<string, Task>();

    function find(id: string): Task {
      const task = tasks.get(id);
      if (!task) throw new Refusal("task: there is no task with this number");
      return task;
    }

    /** Publishes an activity: to every page of the company, and to the log of the task. */
    async function log(user: string, title: string, task: Task): Promise<void> {
      await push.publish({
        audience: { to: { case: "tenant", value: true } },
        message: {
          kind: Kind.ACTIVITY,
          title,
          content: task.title,
          url: `#task-${task.id}`,
          actor: { id: user, name: nameOf(user) },
          object: { type: "task", id: task.id },
          payload: { case: "json", value: fromJson(ValueSchema, task) },
        },
        requestId: crypto.randomUUID(),
      });
    }

    return {
      tasks: async () => [...tasks.values()],
      async create(user, input) {
        const task = { id: `${tasks.size + 1}`, title: required(input, "title"), assignee: "", done: false };
        tasks.set(task.id, task);
        await log(user, "added a task", task);
      },
      async assign(user, input) {
        const task = find(required(input, "task"));
        task.assignee = required(input, "to");
        await log(user, `gave ${nameOf(task.assignee)} a task`, task);
        if (task.assignee === user) return;
        await push.publish({
          audience: { to: { case: "userId", value: task.assignee } },
          message: {
            kind: Kind.NOTIFICATION,
            category: "operation",
            title: `${nameOf(user)} gave you a task`,
            content: task.title,
            url: `#task-${task.id}`,
            actor: { id: user, name: nameOf(user) },
            object: { type: "task", id: task.id },
          },
          requestId: crypto.randomUUID(),
        });
      },
      async finish(user, input) {
        const task = find(required(input, "task"));
        task.done = true;
        await log(user, "finished a task", task);
      },
    };
  },
};
