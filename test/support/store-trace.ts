/** Reads the output of strace, to find out whether answers waited for the disk. */

/** A system call. `start` and `end` are line numbers of the trace. */
interface Syscall {
  readonly name: string;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const complete = /^(\d+) +(\w+)\((.*)\) += (-?\d+)/s;
const unfinished = /^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$/s;
const resumed = /^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)/s;

/** Returns the system calls that succeeded in a trace made with `strace -f -y -o`. */
function parse(trace: string): Syscall[] {
  const open = new Map<string, { text: string; start: number }>();
  const calls: Syscall[] = [];
  for (const [line, content] of trace.split("\n").entries()) {
    const started = unfinished.exec(content);
    if (started) open.set(started[1] ?? "", { text: started[3] ?? "", start: line });
    const ended = resumed.exec(content);
    const whole = ended ?? complete.exec(content);
    if (!whole || Number(whole[4]) < 0) continue;
    const { text = "", start = line } = (ended && open.get(whole[1] ?? "")) || {};
    calls.push({ name: whole[2] ?? "", text: text + (whole[3] ?? ""), start, end: line });
  }
  return calls;
}

/** Returns the numbers of all answers, and of those given before a sync of their message had completed. */
export function findEarlyAnswers(trace: string): { answers: number[]; early: number[] } {
  const calls = parse(trace);
  const writes = calls.filter(({ name, text }) => name === "pwrite64" && text.includes("tidings.db-wal>"));
  const syncs = calls.filter(({ name, text }) => /^f(data)?sync$/.test(name) && text.includes("tidings.db-wal>"));
  const answers = calls.flatMap((call) => {
    const number = call.name === "write" ? /"ack (\d+)\\n"/.exec(call.text)?.[1] : undefined;
    return number === undefined ? [] : [{ number: Number(number), start: call.start }];
  });
  const early = answers.filter(({ number, start }) => {
    const written = writes.find(({ text }) => text.includes(`<mark ${number}>`));
    return !written || !syncs.some((sync) => sync.start > written.end && sync.end < start);
  });
  return { answers: answers.map(({ number }) => number), early: early.map(({ number }) => number) };
}
